"""Addresses nobody may be led to: as text, and as what an innocent name resolves to."""

from __future__ import annotations

INNER_V4 = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.254",
    "127.0.0.2", "127.1.2.3", "127.255.255.255", "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1",
    "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.255",
    "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "168.63.129.16",
]  # fmt: skip
INNER_V6 = [
    "::", "::2", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8", "::ffff:7f00:1",
    "::127.0.0.1", "::8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1",
    "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:10::1", "2001:db8::1",
    "2002:7f00:1::", "2002:a00:1::1", "3fff::1", "fc00::1", "fd00::1", "fd00:ec2::254", "fe80::1", "febf::1", "fec0::1",
    "ff02::1", "ff0e::1", "4000::1", "ff05::1:3",
]  # fmt: skip
OTHER_FORMS = [
    "2130706433", "0x7f000001", "0x7f.0.0.1", "0x7f.1", "017700000001", "0177.0.0.1", "127.1", "127.0.1", "0",
    "127.0.0.1.", "0x0a000001", "167772161", "10.1", "0xA9FEA9FE", "2852039166", "0251.0376.0251.0376", "169.254.43518",
    "192.168.257", "3232235521", "0xc0a80001", "1", "00000010.0.0.1", "127.0.0.01", "0x7f.0x0.0x0.0x1", "4294967295",
]  # fmt: skip
NAMES = [
    "metadata.google.internal", "metadata", "localhost.localdomain", "foo.localhost", "printer.local", "nas.lan",
    "router.home.arpa", "kubernetes.default.svc.cluster.local", "intranet", "db", "redis", "ip6-localhost", "-bad.com",
    "bad-.com-", "a..b.com", ".com", "exa_mple.com", "x" * 260 + ".com",
]  # fmt: skip
WHOLE = [
    "", " ", "mcp.kite.trade/mcp", "//mcp.kite.trade/mcp", "https:mcp.kite.trade", "https://", "https:///mcp",
    "file:///etc/passwd", "ftp://mcp.kite.trade/", "gopher://mcp.kite.trade/", "ws://mcp.kite.trade/",
    "data:text/plain,x",
    "javascript:alert(1)", "unix:///var/run/docker.sock", "http+unix://%2Fvar%2Frun", "http://mcp.kite.trade/mcp",
    "http://8.8.8.8/", "https://user@mcp.kite.trade/", "https://user:pw@mcp.kite.trade/", "https://mcp.kite.trade@10.0.0.1/",
    "https://10.0.0.1\\@mcp.kite.trade/", "https://mcp.kite.trade\\@10.0.0.1/", "https://mcp.kite.trade/#@10.0.0.1/",
    "https://mcp.kite.trade/?next=http://10.0.0.1", "https://mcp.kite.trade:0/", "https://mcp.kite.trade:65536/",
    "https://mcp.kite.trade:-1/", "https://mcp.kite.trade:port/", "https://[::1", "https://[::1]]/", "https://[fe80::1%25eth0]/",
    "https://[::1%lo]/", "https://[v1.x]/", "https://[::1]x/", "https://mcp.kite.trade/ mcp", "https://mcp.kite.trade/\nHost:x",
    "https://mcp.kite.trade/\tx", "https://mcp.kite.tr\u0430de/", "https://\u2460\u2461\u2466.0.0.1/", "https://\uff11\uff10.0.0.1/",
    "https://mcp.kite.trade\u3002evil.example/", "https://mcp.kite.trade/sse/api/health", "https://" + "a" * 600,
    "http://127.0.0.1:5432/", "http://localhost:6379/mcp", "https://[::1]:8000/mcp", "http://LOCALHOST:8000/",
]  # fmt: skip
URLS = [
    *(f"https://{address}/mcp" for address in INNER_V4),
    *(f"https://[{address}]/mcp" for address in INNER_V6),
    *(f"https://{form}/mcp" for form in OTHER_FORMS if form != "127.0.0.1."),
    *(f"https://{name}/mcp" for name in NAMES),
    *WHOLE,
]
