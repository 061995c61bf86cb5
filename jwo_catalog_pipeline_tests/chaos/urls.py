"""URLs that hostile messages may name, and addresses that hostile name servers may give: the corpora, no tests.

Each is a trick that some parser, pattern or HTTP library has fallen for.
"""

from jwo_catalog_pipeline_tests.chaos.envelopes import CERTIFICATE, REGIONS, certificate_url_of, topic_arn

TOPIC = topic_arn("us-east-1")
_CERT = certificate_url_of(TOPIC)
_SNS = "sns.us-east-1.amazonaws.com"


def _words(text: str) -> list[str]:
    return text.split()


def _put(url: str, part: str, others: str | list[str], form: str = "{}") -> list[str]:
    """The URL with others in the place of a part; a text holds them with spaces between."""
    return [url.replace(part, form.format(other)) for other in (others.split() if isinstance(others, str) else others)]


HOSTILE_CERTIFICATE_URLS = [
    # Another scheme, or none.
    *_put(_CERT, "https:", ["http:", "HTTPS:", "ftp:", "file:", "", "https:https:", " https:"]),
    *_put(_CERT, "://", [":/", ":", ":///", ":\\\\", "://\t"]),
    # Another host before, behind or around the right one.
    *_put(_CERT, "amazonaws.com", "amazonaws.com.evil.example amazonaws.comevil.example amazonaws.com-a.example"),
    *_put(_CERT, "amazonaws.com", "amazonaws.com. amazonaws.com.cn amazonaws.org AMAZONAWS.COM amazon\u00adaws.com"),
    *_put(_CERT, "https://", "evil.example/ evil.example\\@ evil.example#@ evil.example? evil.example;", "https://{}"),
    *_put(_CERT, "https://", "user@ user:pass@ evil.example%2f@ x. .", "https://{}"),
    *_put(_CERT, _SNS, "127.0.0.1 169.254.169.254 [::1] localhost 0x7f000001 2130706433 0"),
    # A name that only looks like that of SNS: a bucket, a function, a host behind somebody's gateway.
    *_put(_CERT, _SNS, "sns.us-east-1.s3.amazonaws.com sns-us-east-1.s3.amazonaws.com s3.amazonaws.com/" + _SNS),
    *_put(_CERT, _SNS, f"{_SNS}.s3.amazonaws.com snsxus-east-1.amazonaws.com sns.us-east-1xamazonaws.com evil-{_SNS}"),
    *_put(_CERT, _SNS, "sns.amazonaws.com sns..amazonaws.com sns.*.amazonaws.com sns.us-east-1.elb.amazonaws.com"),
    *_put(_CERT, _SNS, "sns.us-east-1.execute-api.us-east-1.amazonaws.com sqs.us-east-1.amazonaws.com"),
    *_put(_CERT, _SNS, "sns-fips.us-east-1.amazonaws.com"),
    # Another region than the topic's, or none.
    *_put(_CERT, "us-east-1", "us-east-2 eu-west-1 us-gov-west-1 us-east-11 us-east- US-EAST-1 us-e%61st-1"),
    *_put(_CERT, "us-east-1", "us-east-\u0661 us-east-\uff11 u\u0455-east-1 us\u2010east-1"),
    # Dots and letters that are none.
    *_put(_CERT, "sns.us", "sns\u3002us sns\uff0eus sns\uff61us sns\u2024us sns%2eus \uff53ns.us"),
    _CERT.replace("amazonaws", "\u0430mazonaws"),
    # Something in front, or behind.
    *(f"{_CERT}{end}" for end in ("\n", "\r\n", " ", "\t", "\0", "\u2028", "%00", "%0a", "?", "?x=1", "#", "#x")),
    *(f"{_CERT}{end}" for end in ("/", ";x", ".evil")),
    *(f"{start}{_CERT}" for start in ("\n", " ", "\ufeff", "url:", "<")),
    # A port.
    *_put(_CERT, _SNS, ["443", "80", "8443", "", "99999", "443@evil.example", "0443"], _SNS + ":{}"),
    # Another file.
    *_put(_CERT, CERTIFICATE, ["", "/", "/x.pem", "/SimpleNotificationService.pem", f"/a/..{CERTIFICATE}"]),
    *_put(_CERT, CERTIFICATE, ["/bucket", "/", "/%2e%2e", "/.", "\\"], "{}" + CERTIFICATE),
    *_put(_CERT, "0a" * 16, ["0a" * 15, "0a" * 17, "0A" * 16, "0g" * 16, "\u0660a" * 16, "ab/../" + "0a" * 16]),
    *_put(_CERT, ".pem", ".pem.exe xpem .PEM"),
    *(
        "",
        "None",
        "null",
        "*",
        "https://",
        "//" + _CERT.removeprefix("https://"),
        _CERT * 2,
        "https://" + "a" * 100_000,
    ),
]
HOSTILE_CERTIFICATE_URLS = list(dict.fromkeys(HOSTILE_CERTIFICATE_URLS))

REPORT_HOST = "jwo-reports.s3.us-east-1.amazonaws.com"
_LINK = f"https://{REPORT_HOST}/reports/r.json?X-Amz-Expires=3600&X-Amz-Signature=5ec2e7"

GENUINE_REPORT_HOSTS = [
    *_words("s3.amazonaws.com b.s3.amazonaws.com my.bucket.s3.amazonaws.com b.s3-external-1.amazonaws.com"),
    *_words("s3-us-west-2.amazonaws.com b.s3-eu-west-1.amazonaws.com b.s3-us-gov-west-1.amazonaws.com"),
    *(f"b.s3.{region}.amazonaws.com" for partition in ("aws", "aws-us-gov") for region in REGIONS[partition]),
    *(f"b.s3.{region}.amazonaws.com.cn" for region in REGIONS["aws-cn"]),
    *_words("b.s3.dualstack.eu-west-1.amazonaws.com b.s3-fips.us-east-1.amazonaws.com s3.us-east-1.amazonaws.com"),
    *_words("b.s3-fips.dualstack.us-east-1.amazonaws.com b.s3.dualstack.cn-north-1.amazonaws.com.cn"),
    *_words("b.s3-accelerate.amazonaws.com b.s3-accelerate.dualstack.amazonaws.com"),
    "ap-123456789012.s3-accesspoint.us-east-1.amazonaws.com",
]

_NOT_S3 = """
    evil.example localhost 127.0.0.1 0.0.0.0 127.1 2130706433 0x7f.0.0.1 017700000001 0 10.0.0.1 169.254.169.254
    169.254.170.2 2852039166 0xa9fea9fe metadata.google.internal 192.168.0.1 172.16.0.1 [::1] [::] [::ffff:127.0.0.1]
    [::ffff:169.254.169.254] [fe80::1] [fd00:ec2::254] [64:ff9b::a9fe:a9fe]

    amazonaws.com amazonaws.com.cn s3.com s3 evils3.amazonaws.com s3evil.amazonaws.com b.s3evil.amazonaws.com
    s3.amazonaws.com.evil.example b.s3.us-east-1.amazonaws.com.evil.example s3.amazonaws.comevil.example
    s3.amazonaws.com.cn.evil.example s3-amazonaws.com b.s3-amazonaws.com s3.amazonaws.co s3.amazonaws.org
    s3xamazonaws.com b.s3xus-east-1xamazonawsxcom s3.us-east-1.amazonaws.com. s3.amazonaws.com. s3..amazonaws.com
    b..s3.amazonaws.com .s3.amazonaws.com -b.s3.amazonaws.com b-.s3.amazonaws.com b_c.s3.amazonaws.com
    b.s3.amazonaws.com.cn b.s3.us-east-1.amazonaws.com.cn b.s3.cn-north-1.amazonaws.com b.s3.evil.amazonaws.com
    b.s3-cn-north-1.amazonaws.com.cn b.s3.us-east-1.evil.amazonaws.com b.s3.evil-us-east-1.amazonaws.com
    b.s3.x.us-east-1.amazonaws.com

    b.s3-website.us-east-1.amazonaws.com b.s3-website-us-east-1.amazonaws.com s3-website.amazonaws.com
    f-1.s3-object-lambda.us-east-1.amazonaws.com 1.s3-control.us-east-1.amazonaws.com
    s3-accesspoint.us-east-1.amazonaws.com a.1.op-1.s3-outposts.us-east-1.amazonaws.com
    b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com s3-accelerate.amazonaws.com
    s3-log.us-east-1.amazonaws.com b.s3tables.us-east-1.amazonaws.com ec2.us-east-1.amazonaws.com sts.amazonaws.com
    x.execute-api.us-east-1.amazonaws.com x.lambda-url.us-east-1.on.aws s3.x.elb.us-east-1.amazonaws.com
    x.us-east-1.elasticbeanstalk.com d1.cloudfront.net s3.us-east-1.vpce.amazonaws.com

    b.s3.us-east-\u0661.amazonaws.com b.s3.us-east-\uff11.amazonaws.com b.\uff533.amazonaws.com b.s3\u3002amazonaws.com
    b.s3\uff0eamazonaws.com b.s3.\u0430mazonaws.com b.s3.amazonaws\u2024com b.s\u00b3.amazonaws.com
    \u24d1.s3.amazonaws.com b.s3.amazonaws.com\u2215evil.example evil.example\uff0f.s3.amazonaws.com
    evil.example%2f.s3.amazonaws.com evil.example%00.s3.amazonaws.com evil.example\0.s3.amazonaws.com
    B.S3.AMAZONAWS.COM b.s3.Amazonaws.com *.s3.amazonaws.com b,c.s3.amazonaws.com
"""

HOSTILE_REPORT_URLS = [
    *_put(_LINK, REPORT_HOST, _NOT_S3),
    *_put(_LINK, REPORT_HOST, ["a" * 64 + ".s3.amazonaws.com", "a." * 200 + "s3.amazonaws.com"]),
    *_put(_LINK, "https:", ["http:", "HTTPS:", "ftp:", "file:", "gopher:", "s3:", "data:", "javascript:", "", "https"]),
    *_put(
        _LINK, REPORT_HOST, ["80", "22", "8443", "0", "", "99999", "-443", "443x", "443@e.example"], REPORT_HOST + ":{}"
    ),
    *_put(_LINK, "https://", "u@ u:p@ evil.example@ evil.example\\@ evil.example#@ evil.example?@ u%40", "https://{}"),
    *_put(_LINK, "https://", "evil.example/ evil.example\\ evil.example; evil.example:80# 127.0.0.1:80@", "https://{}"),
    *_put(_LINK, "https://", ["127.0.0.1\\@", "169.254.169.254#@", "[::1]@", " ", "\t"], "https://{}"),
    *_put(_LINK, "://", [":/", ":", ":///", ":\\\\", "://\n", ":////", "://\u200b"]),
    *_put(_LINK, "/reports", ["/a b", "/a\r\nHost: evil.example", "/a\n", "/\0", "/\u00e9", "\\evil"]),
    *_put(_LINK, "/reports", "/%zz /% /< /^ /| /[ evil"),
    *(f"{_LINK}{end}" for end in ("#x", " ", "\n", "\r\n\r\nGET /", "\0", "\u2028", '"', "`", "{", "\\")),
    *(f"{start}{_LINK}" for start in (" ", "\n", "\ufeff", "url:", "view-source:", "<", "blob:")),
    *_words("/ // https:// https:/// https://? https://# https://@/ https://:443/ None null x /etc/passwd https://[/"),
    *_words(
        "file:///etc/passwd //s3.amazonaws.com/b/r https://s3.amazonaws.com https://[]/ https://[v1.x]/ https://]/"
    ),
    "",
    "https://" + "a" * 1_000_000,
    "https://s3.amazonaws.com/" + "\u00e9" * 1000,
    "http://" * 1000,
    "https://" + "[" * 1000,
]

# What an honest name may be made to lead to.
BAD_ADDRESSES = _words("""
    127.0.0.1 127.1.2.3 0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.1 192.168.0.1 169.254.169.254
    169.254.170.2 100.64.0.1 100.127.255.254 192.0.0.1 192.0.0.171 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.1
    198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255

    ::1 :: ::7f00:1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:10.0.0.1 ::ffff:52.216.0.1 ::ffff:0:127.0.0.1
    64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1:: 2001:10::1 2001:20::1 2001:db8::1
    2002:7f00:1::1 2002:a9fe:a9fe:: 3fff::1 5f00::1 fc00::1 fd00::1 fd00:ec2::254 fe80::1 fe80::1%lo fec0::1 ff02::1
    ff0e::1
""")
PRIVATE_ADDRESSES = _words("10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.1 192.168.0.1 fc00::1 fd00::1")
GOOD_ADDRESSES = _words("52.216.0.1 3.5.0.1 54.231.0.1 2600:1fa0:8000::1 2406:daa0::1")
