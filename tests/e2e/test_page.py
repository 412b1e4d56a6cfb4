"""The page in a real browser against the real service: a person types and reads nine cards."""
import json
import re
import time

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from browser import PATIENCE_S, chromium

LANGUAGES = {"de", "es", "fr", "ja", "nl", "ru", "sv", "tr", "zh-Hans"}
SENTENCE = "She is reading a book."
# One word that any right translation of SENTENCE has: real text, in the script of its language.
WORDS = {"de": "Buch", "es": "libro", "fr": "livre", "ja": "本", "nl": "boek", "ru": "книг",
         "sv": "bok", "tr": "kitap", "zh-Hans": "书"}
QUIET_SHIFT = 0.02  # layout shift that nobody sees; Chromium's own "good" ends at 0.1

READ_CARDS = """
return Object.fromEntries([...document.querySelectorAll('.card')].map((card) => {
  const of = (name) => card.querySelector('.' + name);
  const box = card.getBoundingClientRect();
  return [card.dataset.language, {
    state: card.dataset.state, committed: of('committed').textContent,
    tentative: of('tentative').textContent, text: of('text').textContent,
    latency: of('latency').textContent, reason: of('reason').textContent,
    native: of('native').textContent, english: of('english').textContent,
    lang: of('text').lang, dir: of('text').dir, box: [box.x, box.y, box.width, box.height],
    elements: of('text').querySelectorAll(':not(.hang)').length }];
}));"""

# Writes down what every card shows after each change, and every layout shift of an element. Text
# whose first words become solid is none: its tentative node begins further on, but nothing moves.
WATCH = """
window.seen = [];
window.shifts = [];
new MutationObserver(() => {
  for (const card of document.querySelectorAll('.card')) {
    seen.push([card.dataset.language, Number(card.dataset.rev || 0), card.dataset.state,
      card.querySelector('.committed').textContent, card.querySelector('.text').textContent]);
  }
}).observe(document.getElementById('cards'), { subtree: true, childList: true, characterData: true,
  attributeFilter: ['data-rev', 'data-state'] });
new PerformanceObserver((list) => {
  for (const { value, sources } of list.getEntries()) {
    const moved = sources.filter(({ node }) => node?.nodeType === Node.ELEMENT_NODE);
    if (moved.length) shifts.push([value, moved.map(({ node }) => node.className || node.id)]);
  }
}).observe({ type: 'layout-shift' });"""


class Page:
    """The page as a person sees it."""

    def __init__(self, driver, service):
        self.driver = driver
        self.service = service
        self.load()

    def load(self):
        self.driver.get(self.service.url)
        self.until(lambda: self.cards() and self.connection() == "Connected")

    def until(self, condition):
        WebDriverWait(self.driver, PATIENCE_S, 0.05).until(lambda _: condition())

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def cards(self):
        return self.driver.execute_script(READ_CARDS)

    def connection(self):
        return self.find("#connection-words").get_attribute("textContent")

    def type(self, text, pause_s=0.0):
        for character in text:
            ActionChains(self.driver).send_keys(character).perform()
            if pause_s:
                time.sleep(pause_s)

    def ended(self, state="ok", solid=True):
        cards = self.cards().values()
        return cards and all(card["state"] == state and (not solid or not card["tentative"])
                             for card in cards)

    def translate(self, text):
        self.type(text + Keys.ENTER)
        self.until(self.ended)
        return self.cards()

    def events(self):
        """What the service sent over the websocket since this was asked last."""
        events = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.webSocketFrameReceived":
                events.append(json.loads(message["params"]["response"]["payloadData"]))
        return events

    def complaints(self):
        return [entry["message"] for entry in self.driver.get_log("browser")
                if entry["level"] in ("SEVERE", "WARNING")]


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(browser, service):
    browser.get(service.url)
    browser.execute_script("localStorage.clear()")
    browser.get_log("browser")
    browser.get_log("performance")
    return Page(browser, service)


def test_a_typed_sentence_is_read_in_nine_cards(page):
    cards = page.translate(SENTENCE)
    assert set(cards) == LANGUAGES
    for tag, card in cards.items():
        assert WORDS[tag] in card["committed"], (tag, card["committed"])
        assert card["tentative"] == "" and card["reason"] == ""
        assert (card["lang"], card["dir"]) == (tag, "ltr")
        assert re.fullmatch(r"[\d.]+(\u202fm?s)? / [\d.]+\u202fm?s", card["latency"]), card
    assert (cards["de"]["native"], cards["de"]["english"]) == ("Deutsch", "German")
    assert cards["es"]["native"] == "Español"
    batch = page.find("#batch").text
    assert re.search(r"^9 languages\s+[\d.]+ m?s\s+[\d,]+ tokens/s\s+[\d,]+ shared tokens saved$",
                     batch), batch
    model = page.find("#model").text
    assert "hydra-tiny" in model and "CC-BY-2.0-FR" in model and model.count("tatoeba.org") == 1
    assert page.complaints() == []


def test_nothing_is_loaded_from_elsewhere(page):
    page.translate(SENTENCE)
    log = [json.loads(entry["message"])["message"] for entry in page.driver.get_log("performance")]
    urls = {message["params"]["request"]["url"] for message in log
            if message["method"] == "Network.requestWillBeSent"}
    assert any(url.endswith("/hydraglot.js") for url in urls)
    assert {url for url in urls if not url.startswith(page.service.url)} == set()


def test_a_pause_makes_tentative_text_solid(page):
    page.type(SENTENCE.rstrip("."))
    page.until(lambda: all(card["tentative"] for card in page.cards().values()))
    page.until(lambda: page.ended() and all(c["committed"] for c in page.cards().values()))


def test_ctrl_enter_finishes_and_escape_clears(page):
    assert page.driver.switch_to.active_element.get_attribute("id") == "text"
    page.type("We are here")
    page.find("#text").send_keys(Keys.CONTROL, Keys.ENTER)
    page.until(page.ended)
    page.type(Keys.ESCAPE)
    page.until(lambda: all(c["state"] == "empty" and not c["text"] for c in page.cards().values()))
    assert page.find("#text").get_attribute("value") == "" and page.find("#batch").text == ""


def test_typing_on_never_shows_an_older_revision_and_moves_nothing(page):
    page.driver.execute_script(WATCH)
    before = {tag: card["box"] for tag, card in page.cards().items()}
    page.type("I want to read this book today", pause_s=0.03)
    page.type(Keys.ENTER)
    page.until(page.ended)
    cards = page.cards()
    seen = page.driver.execute_script("return seen")
    assert max(rev for _, rev, *_ in seen) >= 4, "the sentence was not sent in revisions"
    for tag in LANGUAGES:
        mine = [entry[1:] for entry in seen if entry[0] == tag]
        revs = [rev for rev, *_ in mine]
        assert revs == sorted(revs), tag
        newest = [committed for rev, _, committed, _ in mine if rev == revs[-1]]
        for shorter, longer in zip(newest, newest[1:]):
            assert longer.startswith(shorter), (tag, shorter, longer)
    ends = [e for e in page.events() if e["type"] == "translation.done" and e["status"] == "ok"]
    for tag, card in cards.items():
        last = max((e for e in ends if e["language"] == tag), key=lambda e: e["rev"])
        assert card["committed"] == last["text"]
    assert {tag: card["box"] for tag, card in cards.items()} == before
    shifts = page.driver.execute_script("return shifts")
    assert sum(value for value, _ in shifts) < QUIET_SHIFT, shifts


def test_an_edit_after_the_end_keeps_the_old_text_until_new_text_comes(page):
    page.translate(SENTENCE)
    page.driver.execute_script(WATCH)
    page.type(" Yes")
    page.type(Keys.ENTER)
    page.until(page.ended)
    empty = [entry for entry in page.driver.execute_script("return seen") if not entry[4]]
    assert empty == []


def test_an_example_is_one_click(page):
    page.find(".chip").click()
    page.until(page.ended)
    assert page.find("#text").get_attribute("value") == "Can you help me?"
    assert not page.find("#examples").is_displayed()
    page.find("#clear").click()
    assert page.find("#examples").is_displayed()


def test_a_language_switched_off_leaves_and_is_remembered(page):
    order = list(page.translate(SENTENCE))
    page.find("#picker-button").click()
    page.find("#picker-panel input[value=ja]").click()
    page.until(lambda: set(page.cards()) == LANGUAGES - {"ja"})
    assert page.find("#picker-words").text == "8 of 9 languages"
    page.until(lambda: page.find("#batch").text.startswith("8 languages"))
    page.load()
    assert set(page.cards()) == LANGUAGES - {"ja"}
    page.translate(SENTENCE)
    page.find("#picker-button").click()
    page.find("#picker-panel input[value=ja]").click()
    page.type(Keys.ESCAPE)
    assert not page.find("#picker-panel").is_displayed()
    page.until(lambda: page.ended() and WORDS["ja"] in page.cards()["ja"]["committed"])
    assert list(page.cards()) == order, "it comes back to its own place"


def luminance(colour):
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(page, selector, ground):
    colours = page.driver.execute_script("""
        const style = (selector) => getComputedStyle(document.querySelector(selector));
        return [style(arguments[0]).color, style(arguments[1]).backgroundColor]""",
        selector, ground)
    light, dark = sorted(map(luminance, colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_light_and_dark_are_readable_and_remembered(page):
    grounds = {".cards": (".committed", ".tentative", ".english", ".latency", ".reason"),
               ".source": ("#text", ".chip", ".notice", ".hint"), "body": ("#model", "#connection")}
    texts = [(selector, ground) for ground, of in grounds.items() for selector in of]
    for theme in ("light", "dark"):
        assert page.find("html").value_of_css_property("color-scheme") in (theme, "light dark")
        for selector, ground in texts:  # colours may fade over for a moment
            page.until(lambda: contrast(page, selector, ground) >= 4.5)
        page.find("#theme").click()
    page.find("#theme").click()
    assert page.find("html").get_attribute("data-theme") == "dark"
    page.load()
    assert page.find("html").get_attribute("data-theme") == "dark"


def test_copying(page):
    page.driver.execute_cdp_cmd("Browser.grantPermissions", {
        "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"],
        "origin": page.service.url})
    german = page.translate(SENTENCE)["de"]["text"]
    button = page.find(".card[data-language=de] .copy")
    button.click()
    page.until(lambda: button.get_attribute("data-state") == "copied")
    assert page.driver.execute_async_script(
        "const done = arguments[0]; navigator.clipboard.readText().then(done, done)") == german


def test_markup_in_a_sentence_stays_text(page):
    cards = page.translate("<img src=x onerror=alert(1)> <b>good</b>")
    assert {card["elements"] for card in cards.values()} == {2}, "committed and tentative, no more"
    assert page.complaints() == []


def test_too_long_a_text_is_not_sent(page):
    page.events()
    page.driver.execute_script("""
        const box = document.getElementById('text');
        box.value = 'word '.repeat(1601);
        box.dispatchEvent(new Event('input'));""")
    page.until(lambda: "at most 8000" in page.find("#notice").text)
    assert page.events() == []


def test_every_control_is_reached_by_keyboard(page):
    page.translate(SENTENCE)
    reached = []
    for _ in range(50):
        page.type(Keys.TAB)
        element = page.driver.switch_to.active_element
        reached.append(element.get_attribute("id") or element.get_attribute("class"))
    assert {"clear", "theme", "picker-button"} <= set(reached) and reached.count("icon copy") >= 9


def test_a_phone_has_one_column_and_no_sideways_scroll(service):
    with chromium(390, 844) as driver:
        page = Page(driver, service)
        page.driver.execute_script(WATCH)
        before = {tag: card["box"] for tag, card in page.cards().items()}
        cards = page.translate(SENTENCE)
        assert {tag: card["box"] for tag, card in cards.items()} == before
        assert len({card["box"][0] for card in cards.values()}) == 1
        assert driver.execute_script("return document.documentElement.scrollWidth") == 390
        shifts = driver.execute_script("return shifts")
        assert sum(value for value, _ in shifts) < QUIET_SHIFT, shifts
        page.find("#picker-button").click()
        box = page.find("#picker-panel").rect
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390


def test_the_page_outlives_the_service(browser, service):
    page = Page(browser, service)
    page.translate(SENTENCE)
    service.process.kill()
    service.process.wait()
    page.until(lambda: page.connection() == "Reconnecting")
    page.until(lambda: "not answering" in page.find("#banner").text)
    page.type(Keys.ESCAPE)
    page.type("Can you help me?")
    service.restart()
    page.until(lambda: page.connection() == "Connected" and not page.find("#banner").is_displayed())
    page.until(page.ended)
    assert all(card["committed"] for card in page.cards().values())
