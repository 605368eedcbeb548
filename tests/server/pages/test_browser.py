"""The pages in a real Chromium: by mouse, by keyboard, on a phone, in light and dark, with and without the script."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aitap.record import UserPrompt
from tests.server.pages import company
from tests.server.pages.conftest import STEPS
from tests.server.pages.test_untrusted import EVIL, evil_site
from tests.server.site import Site

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium on the path")
sync_api = pytest.importorskip("playwright.sync_api")
axe_core_python = pytest.importorskip("axe_core_python")

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)
DESK, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
TABLET = {"width": 1024, "height": 768}
PATIENCE = 60_000
"""Milliseconds: the machine may have other things to do."""

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS), timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def visits(browser: Any, guarded_company: Site, keys: dict[str, str]) -> dict[str, Any]:
    """What the browser keeps of each who signed in once, by name."""
    found = {}
    for name in ("dora", "ann"):
        context = browser.new_context(base_url=f"http://127.0.0.1:{guarded_company.port}")
        page = context.new_page()
        page.goto("/login")
        page.fill("input[name=key]", keys[name])
        page.click("button.main")
        page.wait_for_url("**/")
        found[name] = context.storage_state()
        context.close()
    return found


@pytest.fixture
def open_page(browser: Any, guarded_company: Site, visits: dict[str, Any]) -> Iterator[Open]:
    """A page of somebody who is signed in; at the end nothing may have been complained of."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def opened(path: str, name: str | None = "dora", *, size: Any = DESK, **options: Any) -> Any:
        context = browser.new_context(
            base_url=f"http://127.0.0.1:{guarded_company.port}",
            storage_state=visits[name] if name else None,
            viewport=size,
            **options,
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("console", lambda told: complaints.append(told.text) if told.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message) or dialog.dismiss())
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [told for told in complaints if "status of 40" not in told] == []


def test_one_signs_in_and_out_by_keyboard(open_page: Open, keys: dict[str, str]) -> None:
    page = open_page("/sessions?client=Codex", None)
    assert "/login?next=" in page.url
    page.keyboard.type("aitap_wrong")
    page.keyboard.press("Enter")
    assert "Nobody has this key" in page.text_content("[role=alert]")
    page.keyboard.type(keys["audra"])
    page.keyboard.press("Enter")
    page.wait_for_url("**/sessions?client=Codex")
    assert keys["audra"] not in page.content()
    page.get_by_role("button", name="Sign out").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/login")
    page.goto("/sessions")
    assert "/login" in page.url


def test_the_first_key_press_leads_past_the_navigation(open_page: Open) -> None:
    page = open_page("/sessions")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.getElementById('main').contains(document.activeElement)")


def test_lists_are_filtered_sorted_searched_and_the_address_tells(open_page: Open) -> None:
    page = open_page("/sessions")
    page.locator("select[name=client]").click()
    page.locator("select[name=client]").select_option("Codex")
    page.wait_for_url("**/sessions?client=Codex")
    assert set(page.locator("td[data-label=Client]").all_text_contents()) == {"Codex"}
    page.get_by_role("link", name="Calls").click()
    page.wait_for_url("**sort=calls**")
    calls = [int(text) for text in page.locator("td[data-label=Calls]").all_text_contents()]
    assert calls == sorted(calls, reverse=True)
    page.get_by_role("link", name="Clear").click()
    page.fill("input[name=text]", "verify_token")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sessions?text=verify_token")
    assert page.locator("tbody tr").count() == 1
    page.locator("tbody a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/session?**")
    assert company.NIGHT in page.text_content("h1")
    page.go_back()
    assert page.input_value("input[name=text]") == "verify_token"


def test_who_chooses_by_keyboard_is_not_taken_away(open_page: Open) -> None:
    page = open_page("/sessions")
    page.focus("select[name=provider]")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.url.endswith("/sessions")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Apply").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/sessions?provider=*")


def test_a_session_of_thousands_of_steps_opens_with_some_and_loads_the_rest_as_one_scrolls(open_page: Open) -> None:
    page = open_page(f"/session?id={company.LONG}")
    steps = page.locator(".step")
    assert 60 <= steps.count() < STEPS
    before = steps.count()
    page.wait_for_function(
        "(before) => { scrollTo(0, document.body.scrollHeight);"
        " return document.querySelectorAll('.step').length >= before + 120 }",
        arg=before,
    )
    shown = page.locator(".step .input").all_text_contents()
    assert shown == [f"/srv/shop/file-{number:05}.py" for number in range(len(shown))]
    assert page.url.endswith(company.LONG)
    page.fill("input[name=find]", "file-01999")
    page.keyboard.press("Enter")
    page.wait_for_url("**find=file-01999")
    assert steps.count() == 1


def test_what_is_folded_opens_by_keyboard(open_page: Open) -> None:
    page = open_page(f"/session?id={company.NIGHT}")
    page.locator(".tool > summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".tool").first.get_by_text("9c2e1f0 auth").is_visible()
    page.locator(".own > summary").focus()
    page.keyboard.press("Enter")
    page.locator(".own .step").wait_for()
    assert "title" in page.text_content(".own .step")
    assert page.locator(".agent .step").count() == 2


def test_the_list_follows_what_is_recorded(open_page: Open, guarded_company: Site) -> None:
    page = open_page("/sessions")
    number = page.locator("tbody tr").count()
    words = f"a prompt that nobody wrote before {time.time_ns()}"
    story = next(iter(company.long_session(time.time() + 60, 1, "carla")))
    story.client_session_id = f"new {time.time_ns()}"
    story.user_prompts = [UserPrompt(provider_response_id="m", prompt=words, created_at=story.started_at)]
    page.evaluate("window.stays = true")
    company.write(guarded_company.url, [story], people=False)
    page.get_by_text(words).first.wait_for()
    assert page.evaluate("window.stays")
    assert page.locator("tbody tr").count() >= min(number, 50)


def test_a_user_may_not_see_anothers_rows(open_page: Open) -> None:
    ann = open_page("/sessions", "ann")
    assert ann.locator("tbody tr").count() > 0
    assert "Go through all files" not in ann.content()
    assert ann.locator("select[name=initiator]").count() == 0
    assert ann.get_by_role("link", name="Users").count() == 0
    ann.goto(f"/session?id={company.LONG}")
    assert "There is no such session" in ann.text_content("h1")


def test_a_key_is_shown_once(open_page: Open) -> None:
    page = open_page("/keys")
    page.locator("select[name=user]").select_option(label="carla")
    page.fill("input[name=name]", "her laptop")
    page.get_by_role("button", name="Make the key").click()
    key = page.text_content(".secret")
    assert re.fullmatch(r"aitap_[\w-]{43}", key)
    assert key not in page.url
    page.goto("/keys")
    assert key not in page.content()
    assert "her laptop" in page.content()


def test_without_the_script_everything_is_a_link(open_page: Open) -> None:
    page = open_page(f"/session?id={company.LONG}", java_script_enabled=False)
    assert page.locator(".step").count() == 60
    page.get_by_role("link", name="Next steps").click()
    assert page.locator(".step").count() == 60
    assert "file-00060" in page.content()
    page.goto("/sessions")
    page.locator("select[name=client]").select_option("Codex")
    page.get_by_role("button", name="Apply").click()
    assert "client=Codex" in page.url
    assert set(page.locator("td[data-label=Client]").all_text_contents()) == {"Codex"}


LONG = ("W" * 4000, "\u0645\u0631\u062d\u0628\u0627 " * 60, "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}" * 60)
"""A word without an end, a script from right to left, and what is drawn as one sign."""


def test_no_text_runs_or_breaks_a_page(browser: Any, tmp_path: Path) -> None:
    """Nothing is executed, loaded, complained of, or wider than the screen."""
    told: list[str] = []

    def watched(site: Site, size: Any) -> Any:
        page = browser.new_page(base_url=f"http://127.0.0.1:{site.port}", viewport=size)
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: told.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("dialog", lambda dialog: told.append(f"dialog {dialog.message}") or dialog.dismiss())
        page.on("request", lambda request: None if f":{site.port}/" in request.url else told.append(request.url))
        return page

    with evil_site(tmp_path, (*EVIL, *LONG)) as site:
        for size in (DESK, TABLET, PHONE):
            page = watched(site, size)
            page.goto("/sessions")
            sessions = [link.get_attribute("href") for link in page.locator("tbody td.prompt > a").all()]
            assert len(sessions) == len(EVIL) + len(LONG)
            page.goto(next(link for link in sessions if "WWWW" in link))
            step = page.locator(".step .line a").first.get_attribute("href")
            paths = ["/sessions", "/hosts", page.url, step]
            if size is PHONE:
                paths += ["/", "/usage?by=model&then=client", "/users", *sessions[:3]]
            for path in paths:
                page.goto(path)
                width = page.evaluate("document.documentElement.scrollWidth")
                told += [f"{path} is {width} wide"] if width > size["width"] else []
            page.close()
    assert told == []


MAIN = ("/?days=7", "/sessions", f"/session?id={company.NIGHT}", "/keys")
OTHERS = (
    *(
        "/sessions?text=verify",
        "/usage?by=model&then=user",
        "/hosts",
        "/users",
        "/audit",
        "/login",
        "/interception/",
        "/nowhere",
    ),
)
FEW = {"runOnly": ["color-contrast"]}
"""What dark has of its own."""


@pytest.mark.parametrize(
    ("look", "size", "paths", "rules"),
    [("light", DESK, (*MAIN, *OTHERS), {}), ("dark", DESK, MAIN, FEW), ("light", PHONE, (*MAIN, "/hosts"), {})],
    ids=["light", "dark", "phone"],
)
def test_axe_finds_nothing_serious(
    open_page: Open, look: str, size: Any, paths: tuple[str, ...], rules: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It takes its time for each element: a few rows have all that many have.
    for module in ("session_list", "audit_list"):
        monkeypatch.setattr(f"aitap.server.pages.{module}.PAGE", 5)
    axe = _axe()
    page = open_page("/hosts", color_scheme=look, size=size)
    found = []
    for path in paths:
        page.goto(path if path != "/interception/" else _one_interception(page))
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        page.evaluate(axe)
        result = page.evaluate("(options) => axe.run(document, {resultTypes: ['violations'], ...options})", rules)
        found += [
            (path, violation["id"], violation["nodes"][0]["html"][:200])
            for violation in result["violations"]
            if violation["impact"] in ("serious", "critical")
        ]
        if size is PHONE:
            width = page.evaluate("document.documentElement.scrollWidth")
            found += [(path, "wider than the phone", str(width))] if width > PHONE["width"] else []
    assert found == []


def _axe() -> str:
    return Path(axe_core_python.__file__).with_name("axe.min.js").read_text("utf-8")


def _one_interception(page: Any) -> str:
    page.goto(f"/session?id={company.NIGHT}")
    return str(page.locator(".step .line a").first.get_attribute("href"))
