"""The declared media type and its parameters."""

import pytest

from mlmon_sidecar.decode.body import content_type


@pytest.mark.parametrize(
    ("declared", "media_type", "parameters"),
    [
        (b"text/CSV", "text/csv", {}),
        (b" text/csv ; Charset=UTF-8;header=present", "text/csv", {"charset": "UTF-8", "header": "present"}),
        (b'text/csv; delimiter=";"; header=absent', "text/csv", {"delimiter": ";", "header": "absent"}),
        (b'multipart/form-data; boundary="a b=c"', "multipart/form-data", {"boundary": "a b=c"}),
        (b"multipart/form-data; boundary=----x=1", "multipart/form-data", {"boundary": "----x=1"}),
        (b"application/json;", "application/json", {}),
        (b'text/csv; charset="never ends', "text/csv", {"charset": ""}),
    ],
)
def test_parameters(declared: bytes, media_type: str, parameters: dict[str, str]) -> None:
    found, given = content_type(((b"content-type", declared),))
    assert (found, dict(given)) == (media_type, parameters)
