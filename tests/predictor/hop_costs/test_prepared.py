"""What predictions keep of a model."""

from dataclasses import replace

from predictor.hop_costs.options import Factors, Options
from predictor.hop_costs.prepared import Prepared
from predictor.predict.predict import predict
from tests.predictor.batch.random_graphs import call_graphs, model

MODEL = model()


def test_a_model_is_prepared_once() -> None:
    first = Prepared.of(MODEL, Options(samples=0))
    assert Prepared.of(MODEL, Options(samples=7, cpu_model="x")) is first
    assert Prepared.of(replace(MODEL), Options(samples=0)) is not first


def test_other_options_and_changed_speedups_are_prepared_apart() -> None:
    speedup = {"ipc": Factors(0.5, 0.5, 0.5, 0.5)}
    first = Prepared.of(MODEL, Options(speedup=speedup))
    assert Prepared.of(MODEL, Options()) is not first
    assert Prepared.of(MODEL, Options(speedup=speedup)) is first
    speedup["ipc"] = Factors()
    assert Prepared.of(MODEL, Options(speedup=speedup)) is not first
    assert Prepared.of(MODEL, Options(intervals=False)).draws == 1


def test_a_prediction_between_others_changes_nothing() -> None:
    graph = call_graphs(1, 1)[0]
    options = Options(samples=0)
    first = predict(graph, MODEL, options)
    predict(graph, MODEL, replace(options, speedup={"ipc": Factors(0.1, 0.1, 0.1, 0.1)}))
    assert predict(graph, MODEL, options) == first
