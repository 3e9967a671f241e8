from __future__ import annotations

import pytest

from broker.addresses import UrlNotAllowed, check_server_url


def check(url: str, *, loopback_only: bool = False, ports: list[int] | None = None) -> str:
    return check_server_url(url, loopback_only=loopback_only, loopback_ports=ports, own_ports={8000, 5432})


@pytest.mark.parametrize(
    "url",
    ["https://mcp.kite.trade/mcp", "https://mcp.kite.trade/sse", "http://127.0.0.1:8080/mcp",
     "http://localhost:8080/mcp",
     "https://[::1]:8080/mcp", "https://8.8.8.8/mcp", "  https://mcp.kite.trade/mcp "],
)  # fmt: skip
def test_usable(url: str) -> None:
    assert check(url) == url.strip()


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("ftp://mcp.kite.trade/mcp", "scheme"), ("javascript:alert(1)", "scheme"),
        ("http://mcp.kite.trade/mcp", "https"),
        ("https://a:b@mcp.kite.trade/mcp", "user name"), ("https://mcp.kite.trade@10.0.0.1/", "user name"),
        ("https://mcp.kite.trade/mcp#x", "fragment"), ("https://mcp.kite.trade/mcp#", "fragment"),
        ("https://mcp.kite.trade/mcp?x=1", "query"),
        ("https://mcp.kite.trade/sse/api/health", "mean https://mcp.kite.trade/sse?"),
        ("https://10.0.0.1/mcp", "Private"), ("https://192.168.1.4/mcp", "Private"), ("https://172.16.0.1/", "Private"),
        ("https://169.254.169.254/latest", "Private"), ("https://100.64.0.1/", "Private"),
        ("https://0.0.0.0/", "Private"),
        ("https://224.0.0.1/", "Private"), ("https://127.0.0.2/", "Private"), ("https://[fe80::1]/", "Private"),
        ("https://[::ffff:127.0.0.1]/", "inside"), ("https://[64:ff9b::7f00:1]/", "inside"),
        ("https://2130706433/", "four decimal"), ("https://0x7f000001/", "four decimal"),
        ("https://127.1/", "four decimal"),
        ("https://0177.0.0.1/", "four decimal"), ("https://0x7f.0.0.1/", "four decimal"),
        ("https://metadata.google.internal/", "public name"), ("https://intranet/", "public name"),
        ("https://printer.local/", "public name"), ("https://exa_mple/", "public name"), ("https:///mcp", "no host"),
        ("https://mcp.kite.trade:99999/", "port"), ("https://mcp.kite.trade:0/", "port"), ("", "ASCII"),
        ("https://mcp.kite.trade/ mcp", "ASCII"), ("https://mcp.kite.tr\u0430de/", "ASCII"),
        ("https://[::1/", "not an"),
        ("http://127.0.0.1:8000/mcp", "itself"), ("http://localhost:5432/", "itself"),
    ],
)  # fmt: skip
def test_refused_with_the_rule(url: str, rule: str) -> None:
    with pytest.raises(UrlNotAllowed, match=rule.replace("?", r"\?")):
        check(url)


def test_the_paper_exchange_is_on_this_machine() -> None:
    with pytest.raises(UrlNotAllowed, match="this machine"):
        check("https://mcp.kite.trade/mcp", loopback_only=True)


def test_the_operator_can_name_the_ports() -> None:
    assert check("http://127.0.0.1:9001/mcp", ports=[9001]) == "http://127.0.0.1:9001/mcp"
    with pytest.raises(UrlNotAllowed, match="operator"):
        check("http://127.0.0.1:9002/mcp", ports=[9001])
