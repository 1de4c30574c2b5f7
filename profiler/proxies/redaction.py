"""A proxy's configuration without its secrets, for keeping next to a profile. Pure: no I/O.

YAML and JSON are looked at by structure, so that the rest of the text stays as it was written; every text is looked at
by pattern as well. In doubt a value is left out: what a secret is called is up to whoever wrote the configuration.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import yaml

LEFT_OUT: Final = "[left out]"

_SECRET_NAME: Final = re.compile(
    r"(?i)(.*[_.-])?(pass(word|wd|phrase)|secret|private_?key|pkcs12|token|credentials?|api_?key|access_?key|hmac_?key"
    r"|inline_?key|session_ticket_keys|authorization|generic_secret)"
)
_SECRET_HEADER: Final = re.compile(r"(?i)(.*[_-])?(authorization|cookie|token|secret|password|api-?key|auth)")
_HEADER_NAME: Final = re.compile(r"key|name|header|header_name")
_HEADER_VALUE: Final = re.compile(
    r"value|raw_value|text|default_value|(string|exact|prefix|suffix|contains|safe_regex)_match|exact|prefix|suffix|contains"
)
_ONLY_A_PLACE: Final = re.compile(
    r"filename|path|environment_variable|(key_)?name|cluster|uri|timeout|@type|sds_config|api_config_source"
    r"|(resource|transport)_api_version|watched_directory"
)
"""Names whose values say where a secret is, not what it is."""
_INLINE: Final = re.compile(r"inline_?(string|bytes)", re.IGNORECASE)
_PUBLIC: Final = re.compile(
    r"certificate_chain|trusted_ca|crl|ocsp_staple|(text|json)_format_source|default_source_code|source_codes|inline_code"
    r"|code|body|local_jwks|runtime|proto_descriptor_bin"
)
"""Names below which inline text is no secret: certificates, code, formats, public keys."""

_KEY_BLOCK: Final = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|\Z)", re.DOTALL
)
_WEB_TOKEN: Final = re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]+")
_URL_LOGIN: Final = re.compile(r"(?<=://)[^/\s:@\"']+:[^/\s@\"']+(?=@)")
_SCHEME: Final = re.compile(r"(?i)\b(bearer|basic)[ \t]+(?!\[left out)[\w.~+/=-]{6,}")
_HAPROXY_LOGIN: Final = re.compile(
    r"(?im)^([ \t]*(?:stats[ \t]+auth|user[ \t]+\S+[ \t]+(?:insecure-)?password))[ \t]+\S+"
)
_SYMMETRIC_KEY: Final = re.compile(r"[\"'](?:k|d|p|q|dp|dq|qi)\\?[\"']\s*:")
_LINE: Final = re.compile(
    r"(?im)^([ \t]*(?:-[ \t]+)?[\"']?(?:[\w.-]*[_.-])?(?:password|passwd|passphrase|secret|private_?key|token|api_?key|"
    r"access_?key|credentials?)[\"']?[ \t]*[:= ][ \t]*)(?![{\[|>]|[\"']?\[left out)[^\s#;,}]+"
)
_HEADER_LINE: Final = re.compile(
    r"(?im)((?:set|add)[-_]header[ \t]+[\"']?[\w-]*(?:authorization|cookie|token|secret|api-?key)[\"']?)[ \t]+"
    r"(?:\"[^\"\n]*\"|'[^'\n]*'|[^;\n]+)"
)


def without_secrets(text: str) -> str:
    """The configuration with private keys, passwords, tokens and other inline secrets left out."""
    return _by_pattern(_by_structure(text))


def _by_pattern(text: str) -> str:
    text = _KEY_BLOCK.sub(LEFT_OUT, text)
    text = _WEB_TOKEN.sub(LEFT_OUT, text)
    text = _URL_LOGIN.sub(LEFT_OUT, text)
    text = _SCHEME.sub(lambda found: f"{found[1]} {LEFT_OUT}", text)
    text = _HAPROXY_LOGIN.sub(lambda found: f"{found[1]} {LEFT_OUT}", text)
    text = _HEADER_LINE.sub(lambda found: f"{found[1]} {LEFT_OUT}", text)
    return _LINE.sub(lambda found: f'{found[1]}"{LEFT_OUT}"', text)


def _by_structure(text: str) -> str:
    try:
        spans = sorted({(leaf.start, leaf.end) for root in _trees(text) for leaf in _secrets(root)})
    except (yaml.YAMLError, ValueError):
        return text
    pieces, at = [], 0
    for start, end in spans:
        # A block of lines ends with a line break, which stays.
        pieces += [text[at:start], f'"{LEFT_OUT}"', "\n" if text[start:end].endswith("\n") else ""]
        at = end
    return "".join([*pieces, text[at:]])


@dataclass(eq=False)
class _Node:
    """A value and where it stands: text, the values of a list, or names and values of a mapping by turns."""

    value: str | list["_Node"]
    mapping: bool = False
    start: int = 0
    end: int = 0

    def pairs(self) -> Iterator[tuple[str, "_Node"]]:
        """Names and values of a mapping; a name that is no text is empty."""
        if self.mapping and isinstance(self.value, list):
            for key, value in zip(self.value[::2], self.value[1::2], strict=True):
                yield key.value if isinstance(key.value, str) else "", value


def _trees(text: str) -> Iterator[_Node]:
    """The documents. Built from events: no recursion, and what aliases stand for is not copied."""
    anchors: dict[str, _Node] = {}
    stack = [_Node([])]
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.CollectionEndEvent):
            stack.pop()
            continue
        if isinstance(event, yaml.AliasEvent):
            node = anchors.get(event.anchor or "", _Node(""))
        elif isinstance(event, yaml.ScalarEvent):
            start, end = event.start_mark, event.end_mark
            node = _Node(event.value, start=start.index if start else 0, end=end.index if end else 0)
        elif isinstance(event, yaml.CollectionStartEvent):
            node = _Node([], mapping=isinstance(event, yaml.MappingStartEvent))
        else:
            continue
        if isinstance(stack[-1].value, list):
            stack[-1].value.append(node)
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append(node)
        if event.anchor and not isinstance(event, yaml.AliasEvent):
            anchors[event.anchor] = node
    if isinstance(stack[0].value, list):
        yield from stack[0].value


def _secrets(root: _Node) -> Iterator[_Node]:
    """The values that are secrets. One that aliases stand for is visited once in each way."""
    waiting = [(root, False, False)]
    visited: set[tuple[int, bool, bool]] = set()
    while waiting:
        node, secret, public = waiting.pop()
        if (id(node), secret, public) in visited:
            continue
        visited.add((id(node), secret, public))
        if isinstance(node.value, str):
            if secret and node.value:
                yield node
        elif node.mapping:
            waiting += _children(node, secret, public)
        else:
            waiting += [(child, secret, public) for child in node.value]


def _children(node: _Node, secret: bool, public: bool) -> Iterator[tuple[_Node, bool, bool]]:
    header = any(
        _HEADER_NAME.fullmatch(name) and isinstance(value.value, str) and _SECRET_HEADER.fullmatch(value.value)
        for name, value in node.pairs()
    )
    for name, value in node.pairs():
        below = secret or bool(_SECRET_NAME.fullmatch(name) or (header and _HEADER_VALUE.fullmatch(name)))
        if _INLINE.fullmatch(name):
            below = below or not public or _holds_key(value.value)
        if _ONLY_A_PLACE.fullmatch(name):
            below = False
        yield value, below, public or bool(_PUBLIC.fullmatch(name))


def _holds_key(value: object) -> bool:
    """Whether inline text that should be public holds a private key after all."""
    if not isinstance(value, str):
        return False
    if "PRIVATE KEY" in value or _SYMMETRIC_KEY.search(value):
        return True
    try:
        return b"PRIVATE KEY" in base64.b64decode(value, validate=False)
    except (binascii.Error, ValueError):
        return False
