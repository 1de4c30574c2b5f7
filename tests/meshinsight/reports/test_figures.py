"""Charts as values: their data has what is drawn, their description what is seen first."""

from meshinsight.reports.figures import (
    Bar,
    Bars,
    Change,
    Changes,
    Course,
    History,
    Level,
    Line,
    Measurement,
    OverTime,
    Panel,
    Point,
    Scatter,
)

BARS = Bars(
    "n",
    "title",
    [Panel([Bar("g", "hot", {"ipc": 10.0, "parsing": 20.0}, total=31.0, interval=(30.0, 32.0)), Bar("g", "cold", {})])],
    ["ipc", "parsing"],
    "µs",
)


def test_the_data_of_bars_has_parts_sum_total_and_interval() -> None:
    data = BARS.table()
    assert list(data.columns) == ["bar", "ipc", "parsing", "sum", "total", "95 % interval"]
    assert data.rows == [
        ["g hot", "10.0", "20.0", "30.0", "31.0", "30.0 … 32.0"],
        ["g cold", "–", "–", "0", "–", "–"],
    ]


def test_the_description_of_bars_names_the_longest() -> None:
    assert BARS.description == "2 bars of stacked components, µs. The longest is g hot, 30.0."


def test_panels_are_told_apart_in_the_data() -> None:
    panels = [Panel([Bar("", "a", {"ipc": 1.0})], title) for title in ("latency", "CPU")]
    assert [row[0] for row in Bars("n", "t", panels, ["ipc"]).table().rows] == ["latency: a", "CPU: a"]


def test_the_data_over_time_has_a_row_per_measurement() -> None:
    lines = OverTime("n", "t", [Line("with", [0.0, 61.0], [300.0, 310.0], "#000000")], "µs")
    assert lines.table().rows == [["with", "0", "300"], ["with", "61", "310"]]
    assert "with: 300 to 310" in lines.description


def test_the_data_of_points_has_both_intervals() -> None:
    scatter = Scatter("n", "t", {"µs": [Point("1", 10.0, (9.0, 11.0), 12.0, (8.0, 16.0))]})
    assert scatter.table().rows == [["1, µs", "12.0", "8.00 … 16.0", "10.0", "9.00 … 11.0"]]


def test_the_data_of_changes_has_interval_and_verdict() -> None:
    changes = Changes("n", "t", {"%": [Change("ipc", 2.0, (1.0, 3.0), "worse"), Change("tls", 0.1, None, "unknown")]})
    assert changes.table().rows == [["ipc, %", "+2.0", "1.00 … 3.00", "worse"], ["tls, %", "+0.1", "–", "unknown"]]
    assert changes.description == "2 rows of differences with 95 % intervals. %: ipc +2.0, worse."


def test_the_data_of_a_history_has_each_level() -> None:
    measurements = [Measurement(86_400.0 * day, value, (value - 1, value + 1)) for day, value in ((0, 10.0), (1, 20.0))]
    history = History("n", "t", [Course("ipc", "µs", measurements, [Level(0, 0, 10.0), Level(1, 1, 20.0)])])
    assert history.table().rows == [
        ["ipc, 1970-01-01 00:00", "10.0", "9.00 … 11.0", "10.0"],
        ["ipc, 1970-01-02 00:00", "20.0", "19.0 … 21.0", "20.0"],
    ]
    assert history.description == "ipc, µs: 10.0 from 1970-01-01 00:00, then 20.0 from 1970-01-02 00:00"
