"""What people, repositories and machines might write to make others do something: over two hundred strings.

`CANARY` in one stands for a file that must never come to be; `armed` puts its path there.
"""

from __future__ import annotations

from typing import Final

CANARY: Final = "CANARY"

_TOUCH = f"touch {CANARY}"
_PYTHON = f"__import__('os').system('{_TOUCH}')"

SHELL: Final = (
    f"; {_TOUCH}", f"&& {_TOUCH}", f"|| {_TOUCH}", f"| {_TOUCH}", f"& {_TOUCH} &", f"$({_TOUCH})", f"`{_TOUCH}`",
    f"${{IFS}}$({_TOUCH})", f"x;{_TOUCH};", f"'; {_TOUCH}; '", f'"; {_TOUCH}; "', f"'$({_TOUCH})'", f'"$({_TOUCH})"',
    f"\\'; {_TOUCH} #", f"x\n{_TOUCH}\n", f"x\r\n{_TOUCH}", f"x\r{_TOUCH}", f"x\0{_TOUCH}", f"<({_TOUCH})",
    f">({_TOUCH})", f"> {CANARY}", f">> {CANARY}", f"2>{CANARY}", f"< /dev/null > {CANARY}", f"$(>{CANARY})",
    f"a=$({_TOUCH})", f"() {{ :; }}; {_TOUCH}", f"{{{_TOUCH}}}", f"$(({_TOUCH}))", f"${{x:-$({_TOUCH})}}",
    f"!{_TOUCH}", f"!!; {_TOUCH}", f"~/$({_TOUCH})", f"*; {_TOUCH}", f"[$({_TOUCH})]", f"EOF\n{_TOUCH}\nEOF",
    f"PYTHON\nopen('{CANARY}','w')\n", f"${{PATH:0:1}}bin${{PATH:0:1}}touch {CANARY}", f"$'\\x3b'{_TOUCH}",
    f"%0a{_TOUCH}", f"%3B{_TOUCH}", f"x`{_TOUCH}`y$({_TOUCH})z", f"eval {_TOUCH}", f"exec {_TOUCH}", f"' || {_TOUCH} '",
    f"nohup {_TOUCH} &", f"-c {_TOUCH}", f"bash -c '{_TOUCH}'", f"$0 -c '{_TOUCH}'", f"\\\n{_TOUCH}", "\\", "\\\\", "'",
    '"', "`", "''", '""', "$", "$$", "$@", "$*", "$?", "$#", "$HOME", "${HOME}", "~root", "&", "|", "#", "!", "*", "?",
)  # fmt: skip
OPTIONS: Final = (
    "-", "--", "-x", "-h", "--help", "--version", f"--upload-pack={_TOUCH}", f"--upload-pack='{_TOUCH}'",
    f"--receive-pack={_TOUCH}", f"--exec={_TOUCH}", f"-u{_TOUCH}", f"--output={CANARY}", f"-o{CANARY}",
    f"--config=core.sshCommand={_TOUCH}", f"-c core.sshCommand={_TOUCH}", f"-ccore.fsmonitor={_TOUCH}",
    f"--git-dir={CANARY}", f"--work-tree={CANARY}", "--no-index", "--all", "--end-of-options", "--force", "-rf /",
    f"-oProxyCommand={_TOUCH}", f"--format=%x00$({_TOUCH})", "--privileged", "--volume=/:/host", "-v/:/host",
    "--entrypoint=/bin/sh", "--cap-add=ALL", "--network=host", "--env-file=/etc/passwd", "-–x", "—help", "−c",
)  # fmt: skip
ADDRESSES: Final = (
    f"ext::sh -c '{_TOUCH}'", f"ext::sh -c {_TOUCH.replace(' ', '% ')}", "file:///etc/passwd", "file://../x",
    f"ssh://-oProxyCommand={_TOUCH}/x/y", f"-oProxyCommand={_TOUCH}@host:x/y", f"git@-oProxyCommand={_TOUCH}:x/y",
    "git://127.0.0.1/x/y", "http://169.254.169.254/latest/meta-data", "https://127.0.0.1:1/x/y", "fd::17", "x::y/z",
    "https://user:word@host/x/y", "https://host@evil/x/y", "https://host%00.evil/x/y", "https://host#@evil/x/y",
    "https://host\\@evil/x/y", "//evil/x/y", "https:///x/y", "javascript:alert(1)/x", "data:text/html,x/y",
    "ftp://evil/x/y", "HTTPS://EVIL/x/y", "acme/vit@main@{upstream}", "acme/vit@main:path", "acme/vit@@{-1}",
    "acme/vit@main^{/x}", "acme/vit@main~1", "acme/vit@refs/../../x", "acme/vit@.lock", "acme/vit@a..b",
    "acme/vit.git/../other@main", "acme/vit@HEAD", "acme/vit@FETCH_HEAD",
)  # fmt: skip
PATHS: Final = (
    "..", "../..", "../../../../etc/passwd", "/etc/passwd", "//etc/passwd", "/", "~", "~/x", "./x", "x/../y",
    "x/../../y", "..\\..\\x", "C:\\x", "\\\\host\\share", "%2e%2e%2fx", "..%2fx", "%252e%252e/x", "..;/x",
    "....//x", "x/.", "x//y", "x/", ".git/config", ".GIT/hooks/post-checkout", "x/.git/hooks/x", "/proc/self/environ",
    "/dev/zero", "/dev/stdin", "CON", "nul.txt", "x\0.pt", "..\u2215x", "．．/x", "..\u200b/x",
)  # fmt: skip
UNSEEN: Final = (
    "\u202ereversed", "a\u202eb\u202c", "\u2066x\u2069", "\u2067x", "\u200fx", "\u200ex", "zero\u200bwidth",
    "\ufeffbom", "soft\u00adhyphen", "\u2028line", "\u2029paragraph", "\u0085next", "bell\x07", "\x1b[31mred\x1b[0m",
    "\x1b[2J\x1b[H", "\x1b]0;title\x07", "\x1b]8;;https://evil\x07click\x1b]8;;\x07", "\x9b31m", "back\x08\x08space",
    "\x7fdelete", "\x00", "a\x00b", "\x0bvertical", "\x0cform", "\U000e0041tag", "\U000e0001", "\u180evowel",
    "\u3164filler", "\udcff", "\ud83d", "a\u0301\u0301\u0301\u0301\u0301", "\u0430\u0441me/vit", "Z\u0341" * 50,
    "\ue000private", "\uffff", "\U0010ffff", "\u061carabic", "\u2062times", "\ufffcobject",
)  # fmt: skip
MARKUP: Final = (
    "<!channel>", "<!here>", "<!everyone>", "<!channel|channel>", "<!here|here>", "<!subteam^S0VICTIM1>",
    "<@U0VICTIM1>", "<@U0VICTIM1|victim>", "<@W0VICTIM1>", "U0VICTIM1", "`U0VICTIM1`", "x`U0VICTIM1`y", "<#C0VICTIM1>",
    "<#C0VICTIM1|general>", "<https://evil.example|Click>", "<https://evil.example>", "<mailto:a@evil|x>", "<tel:1|x>",
    "<!date^0^{date}^https://evil.example|x>", "&lt;!channel&gt;", "&amp;lt;!channel&amp;gt;", "&#60;!channel&#62;",
    "<\u200b!channel>", "<!\u200bchannel>", "<<!channel>>", "<!channel", "!channel>", "@channel", "@here", "@everyone",
    "*bold*", "_it_", "~no~", "`code`", "```block```", "```\n<!channel>\n```", "`<!channel>`", "``` <!here>",
    "> quote", ">>> quote", ":tada:", "• list", "1. list", "---", "[x](https://evil.example)", "|", "a|b>c", "<a|b>",
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><svg/onload=alert(1)>", "<!--", "]]>", "{{7*7}}",
)  # fmt: skip
FORMATS: Final = (
    "%s%s%s%n", "%(x)s", "{0}", "{}", "{x}", "{0.__class__.__mro__}", "{who}", "{{who}}", "{", "}", "%", "%%", "%d",
    "${jndi:ldap://127.0.0.1/x}", "#{7*7}", "<%= 7*7 %>", "\\x41", "\\u0041", "\\N{BULLET}", _PYTHON, f"{{{_PYTHON}}}",
    "' OR '1'='1", "'; DROP TABLE job; --", "1; SELECT 1", "\\'; --", '" OR ""="', "x' UNION SELECT 1 --", "%27", "?1",
    ":name", "null", "None", "NaN", "Infinity", "-0", "1e999", "0x10", "true", "[]", "{}", '{"a":1}', '"', "[" * 2000,
    '{"a":' * 500, "!!python/object/apply:os.system ['" + _TOUCH + "']", "!!binary |", "&a [*a,*a]", "*a", "? x", "- -",
    "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]", "%YAML 9.9", "---\n---", "<<: *x", "version https://git-lfs.github.com/",
)  # fmt: skip
LONG: Final = ("A" * 5_000, "é" * 3_000, "a/" * 800, "<" * 3_000, "&" * 3_000, "`" * 3_000, "\n" * 500, " " * 500,
               "-" * 2_000, "../" * 900, "<!channel>" * 300, "\u202e" * 500)  # fmt: skip

STRINGS: Final[tuple[str, ...]] = tuple(
    dict.fromkeys([*SHELL, *OPTIONS, *ADDRESSES, *PATHS, *UNSEEN, *MARKUP, *FORMATS, *LONG])
)


def armed(text: str, canary: str) -> str:
    """Return the string with the canary's path in it."""
    return text.replace(CANARY, canary)
