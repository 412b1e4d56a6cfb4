"""Every view of the page, on a service that the test paces: accessible, by keyboard alone, in the
person's language, offline, and what is kept, taken away, spoken and dropped.
"""
import json
import re
import time

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from browser import PATIENCE_S, chromium
from conftest import ROOT
from fake import NINE, WEB, Fake

AXE = ROOT / "build" / "fixtures" / "axe.min.js"
LANGUAGES = (*NINE[:6], "ar", "he")
SENTENCE = "Where is the train station?"

# The browser's speech, played by the test: headless Chromium has neither a microphone nor voices.
SPEECH = """
window.SpeechRecognition = class {
  start() { window.ear = this; }
  stop() { this.onend(); }
};
window.say = (isFinal, ...parts) => window.ear.onresult({ resultIndex: 0,
  results: parts.map((transcript) => Object.assign([{ transcript }], { isFinal })) });
window.spoken = [];
speechSynthesis.getVoices = () => [{ lang: 'de-DE' }];
speechSynthesis.speak = ({ text, lang }) => spoken.push([lang, text]);
"""


class Page:
    def __init__(self, driver, fake, fragment=""):
        self.driver = driver
        driver.get(fake.url + "/" + fragment)
        self.until(lambda: self.cards())

    def until(self, condition):
        WebDriverWait(self.driver, PATIENCE_S, 0.05).until(lambda _: condition())

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys):
        chain = ActionChains(self.driver)
        for key in keys:
            chain.send_keys(key)
        chain.perform()

    def chord(self, modifier, key):
        ActionChains(self.driver).key_down(modifier).send_keys(key).key_up(modifier).perform()

    def cards(self):
        return self.run("""return [...document.querySelectorAll('.card')].map((card) =>
            card.dataset.language)""")

    def text(self, tag):
        return self.run("""return document.querySelector(`.card[data-language="${arguments[0]}"]`)
            .querySelector('.committed').textContent""", tag)

    def focused(self):
        return self.run("""const it = document.activeElement;
            return it.id || it.dataset.act || it.getAttribute('aria-label') || it.tagName;""")

    def tab_to(self, wanted, back=False):
        """By Tab alone, as far as it takes."""
        for _ in range(60):
            if self.focused() == wanted:
                return
            if back:
                self.chord(Keys.SHIFT, Keys.TAB)
            else:
                self.press(Keys.TAB)
        raise AssertionError(f"Tab never comes to {wanted}")

    def translate(self, text=SENTENCE):
        self.press(text, Keys.ENTER)
        self.until(lambda: self.run(
            "return [...document.querySelectorAll('.card')].every((c) => c.dataset.state === 'ok')"))

    def menu(self, tag, what):
        self.run("""document.querySelector(`.card[data-language="${arguments[0]}"] .more`)
            .click()""", tag)
        self.find(f"#menu [data-act={what}]").click()


@pytest.fixture(scope="module")
def fake():
    with Fake(LANGUAGES, step_s=0.005) as running:
        running.texts = {SENTENCE: {"ar": "أين محطة القطار؟", "he": "איפה תחנת הרכבת?"}}
        yield running


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": SPEECH})
        yield driver


@pytest.fixture
def page(browser, fake):
    browser.get(fake.url)
    browser.execute_script("localStorage.clear()")
    browser.get_log("browser")
    return Page(browser, fake)


def violations(page):
    page.run(AXE.read_text())
    found = page.driver.execute_async_script("""const done = arguments[0];
        axe.run(document, { resultTypes: ['violations'] }).then(done, (e) => done(String(e)))""")
    assert isinstance(found, dict) and len(found["passes"]) > 10, found
    return [(v["id"], [n["html"][:90] for n in v["nodes"]]) for v in found["violations"]]


def views(page):
    """Goes through all views and names each."""
    yield "empty"
    page.translate()
    yield "translated"
    page.run("document.getElementById('picker-button').click()")
    yield "picker"
    page.press(Keys.ESCAPE)
    page.run("document.querySelectorAll('.more')[1].click()")
    yield "menu"
    page.press(Keys.ESCAPE)
    page.run("document.getElementById('to-history').click()")
    yield "history"
    page.press(Keys.ESCAPE)
    page.run("document.getElementById('listen').click()")
    yield "voice"
    page.press(Keys.ESCAPE)
    page.run("""const banner = document.getElementById('banner');
        banner.hidden = false; document.getElementById('banner-words').textContent = 'Away.';
        document.getElementById('file').hidden = false;""")
    yield "banner and file"
    page.run("document.getElementById('banner').hidden = true")
    page.run("document.getElementById('to-captions').click()")
    page.translate("Where are you?")
    yield "captions"


@pytest.mark.parametrize("width, dark", [(1440, False), (1440, True), (390, False)])
def test_axe_finds_nothing_in_any_view(fake, width, dark):
    with chromium(width, 900, dark) as driver:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": SPEECH})
        page = Page(driver, fake)
        found = {}
        for view in views(page):
            time.sleep(0.35)  # colours fade over
            found[view] = violations(page)
        assert len(found) == 8 and {v: f for v, f in found.items() if f} == {}


def test_the_whole_flow_by_keyboard_alone(page):
    """Nothing here is clicked: Tab, arrows, Enter, Escape and Alt with an arrow."""
    assert page.focused() == "text"
    page.translate()
    first, second = page.cards()[:2]
    page.tab_to("More for German")
    page.chord(Keys.ALT, Keys.ARROW_RIGHT)
    assert page.cards()[:2] == [second, first]
    assert page.focused() == "More for German", "the focus stays on the card that moved"
    page.press(Keys.ENTER)
    assert page.focused() == "pin"
    page.press(Keys.ENTER)
    assert page.cards()[0] == first and page.focused() == "More for German"
    page.press(Keys.ENTER, Keys.ARROW_UP)
    assert page.focused() == "remove", "arrows go round, past what is disabled"
    page.press(Keys.ENTER)
    assert first not in page.cards()
    page.tab_to("picker-button", back=True)
    page.press(Keys.ENTER)
    page.run("window.boxes = document.querySelectorAll('#picker-panel input')")
    page.press(Keys.TAB, Keys.SPACE)
    page.until(lambda: first in page.cards())
    page.press(Keys.ESCAPE)
    assert page.focused() == "picker-button"
    page.tab_to("to-history", back=True)
    page.press(Keys.ENTER)
    page.until(lambda: page.run("return document.getElementById('history').open"))
    assert SENTENCE in page.find("#history ol").text
    page.press(Keys.ESCAPE)
    page.tab_to("to-captions", back=True)
    page.press(Keys.ENTER)
    assert page.focused() == "text"
    page.press(Keys.ESCAPE, "Yes", Keys.ENTER)
    page.until(lambda: "de Yes" in page.find(".columns").text)
    page.press(Keys.ESCAPE)
    assert page.run("return document.body.dataset.view") == "cards"


def test_order_and_pins_are_remembered(page):
    page.menu("ja", "pin")
    page.menu("fr", "earlier")
    wanted = ["ja", "de", "fr", "es", "nl", "ru", "ar", "he"]
    assert page.cards() == wanted
    page.driver.refresh()
    page.until(lambda: page.cards() == wanted)
    page.translate()
    page.until(lambda: told(page))
    assert {tag for tag, _ in told(page)} == {"ja"}, "a screen reader hears the pinned card only"


def told(page):
    """[(language, phrase)] of the page's live region."""
    return page.run("""return [...document.querySelectorAll('#told > p')].map((p) =>
        [p.lang, p.textContent])""")


DRAG = """
const of = (tag) => document.querySelector(`[data-language="${tag}"] .card-head`);
const dataTransfer = new DataTransfer();
const send = (type, tag) => of(tag).dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true,
  cancelable: true }));
send('dragstart', arguments[0]);
const open = !send('dragover', arguments[1]);
send('drop', arguments[1]);
return open;"""


def test_a_card_is_dragged_to_where_another_is(page):
    before = page.cards()
    assert page.run(DRAG, "he", "es"), "a card is no place to drop"
    assert page.cards() == ["de", "he", *(t for t in before if t not in ("de", "he"))]
    assert page.run(DRAG, "de", "fr")
    assert page.cards()[:4] == ["he", "es", "fr", "de"]


def test_screen_readers_hear_committed_text_only(page, fake):
    """Phrases that join to what was committed, in one live region; no text that is seen is one."""
    live = page.run("""return [...document.querySelectorAll('[aria-live]')].map((e) => e.id)""")
    assert live == ["told"]
    fake.step_s = 0.2
    try:
        page.press("One two three four five six seven", Keys.ENTER)
        page.until(lambda: page.text("de") == "de One two three four five six seven")
    finally:
        fake.step_s = 0.005
    for tag in page.cards():
        page.until(lambda: "".join(words for to, words in told(page) if to == tag).replace(" ", "")
                   == page.text(tag).replace(" ", ""))
    assert page.run("return document.querySelector('.tentative').closest('[aria-live]')") is None


def test_a_card_is_translated_again_alone(page, fake):
    page.translate()
    before = len(fake.accepted)
    page.menu("es", "again")
    page.until(lambda: len(fake.accepted) == before + 1)
    page.until(lambda: page.text("es") == f"es {SENTENCE}")
    assert page.text("de") == f"de {SENTENCE}"


def reading(page, tag):
    """(whether it is shown, its text)"""
    return page.run("""const it = document.querySelector(
        `[data-language="${arguments[0]}"] .reading`);
        return [it.checkVisibility(), it.textContent]""", tag)


def test_a_language_is_read_in_latin_letters(page):
    page.translate()
    assert reading(page, "ru") == [False, ""]
    page.menu("ru", "read")
    page.until(lambda: reading(page, "ru") == [True, f"reading of ru {SENTENCE}"])
    page.find("#text").send_keys("Yes", Keys.ENTER)
    page.until(lambda: reading(page, "ru") == [True, f"reading of ru {SENTENCE}Yes"])
    page.driver.refresh()
    page.until(page.cards)
    page.translate()
    page.until(lambda: reading(page, "ru")[0])
    page.menu("ru", "read")
    assert not reading(page, "ru")[0]
    page.run("document.querySelector('[data-language=de] .more').click()")
    assert not page.find("#menu [data-act=read]").is_displayed(), "German has Latin letters"
    page.press(Keys.ESCAPE)


def test_right_to_left(page):
    page.translate()
    box, text = page.run("""const text = document.querySelector('[data-language=ar] .text');
        const range = document.createRange();
        range.selectNodeContents(text.querySelector('.committed'));
        const [a, b] = [text.getBoundingClientRect(), range.getBoundingClientRect()];
        return [[a.left, a.right], [b.left, b.right]]""")
    assert text[1] == pytest.approx(box[1], abs=30) and text[0] > box[0] + 60
    assert page.text("he") == "איפה תחנת הרכבת?"


def test_a_shared_link_chooses_the_languages(browser, fake, page):
    browser.execute_cdp_cmd("Browser.grantPermissions", {
        "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": fake.url})
    for tag in ("es", "fr", "nl", "ru", "ar", "he"):
        page.menu(tag, "remove")
    page.menu("ja", "earlier")
    page.run("document.getElementById('share').click()")
    page.until(lambda: "copied" in page.find("#notice").text)
    link = browser.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert link.startswith(fake.url)
    browser.execute_script("localStorage.clear()")
    browser.get("about:blank")
    browser.get(link)
    page.until(lambda: page.cards() == ["ja", "de"])
    page.menu("ja", "remove")
    fake.kill()
    page.run("document.getElementById('text').focus()")
    page.translate()
    assert page.cards() == ["de"], "a new connection does not bring the link's choice back"


DOWNLOAD = """
window.saved = [];
URL.createObjectURL = (blob) => { blob.text().then((text) => saved.push(text)); return '#'; };
HTMLAnchorElement.prototype.click = function () { saved.push(this.download); };
"""


def saved(page, selector):
    page.run("saved.length = 0; document.querySelector(arguments[0]).click()", selector)
    page.until(lambda: page.run("return saved.length") == 2)
    return page.run("return saved.find((s) => s.includes('\\n')) ?? saved.at(-1)")


def test_history_is_taken_away_as_text_and_subtitles(page):
    page.translate("It is <late> & dark.")
    page.press(Keys.ESCAPE)
    time.sleep(1.3)
    page.translate("Good night.")
    page.press(" Sleep well.", Keys.ENTER)
    page.until(lambda: "Good night. Sleep" in page.run("return localStorage['hydraglot.history']"))
    page.run(DOWNLOAD + "document.getElementById('to-history').click()")
    rows = page.find("#history ol").find_elements(By.TAG_NAME, "li")
    assert len(rows) == 2 and "Good night. Sleep well." in rows[0].text
    text = saved(page, "[data-format=txt]")
    assert "It is <late> & dark.\nde\tde It is <late> & dark." in text
    page.run("""const which = document.querySelector('.which'); which.value = 'de';""")
    srt = saved(page, "[data-format=srt]")
    cues = re.findall(r"(\d+)\n(\S+) --> (\S+)\n(.+)\n(.+)\n", srt)
    assert [cue[0] for cue in cues] == ["1", "2"] and cues[0][1] == "00:00:00,000"
    assert cues[1][3:] == ("Good night. Sleep well.", "de Good night. Sleep well.")
    assert cues[0][2] <= cues[1][1] and cues[1][1] >= "00:00:01,300"
    vtt = saved(page, "[data-format=vtt]")
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> ")
    assert "It is &lt;late> &amp; dark." in vtt and "fr " not in vtt
    page.run("document.querySelector('.forget').click()")
    assert page.find(".nothing").is_displayed()
    assert page.run("return localStorage['hydraglot.history']") == "[]"


def entries(page):
    return [(e["from"], e["text"]) for e in
            json.loads(page.run("return localStorage['hydraglot.history'] ?? '[]'"))]


def test_history_is_shared_by_tabs(page):
    page.translate("Good night.")
    page.run("""const all = JSON.parse(localStorage['hydraglot.history']);
        all.push({ at: all[0].at + 1, end: all[0].at + 2, from: 'nl', text: 'Ja', translations: {} });
        localStorage['hydraglot.history'] = JSON.stringify(all);""")
    page.press(" Sleep well.", Keys.ENTER)
    page.until(lambda: ("en", "Good night. Sleep well.") in entries(page))
    assert entries(page) == [("en", "Good night. Sleep well."), ("nl", "Ja")]
    page.run("localStorage['hydraglot.history'] = '[]'")
    page.press(Keys.ESCAPE, "Yes.", Keys.ENTER)
    page.until(lambda: entries(page) == [("en", "Yes.")])
    page.run("""localStorage['hydraglot.history'] = '{"not": "ours"}';
        document.getElementById('to-history').click()""")
    assert page.find(".nothing").is_displayed()


def test_what_no_language_could_say_is_not_kept(page, fake):
    fake.fails = {"No way."}
    try:
        page.press("No way.", Keys.ENTER)
        page.until(lambda: page.run("return document.querySelector('.card').dataset.state")
                   == "failed")
    finally:
        fake.fails = set()
    page.press(Keys.ESCAPE)
    page.translate("Yes.")
    assert entries(page) == [("en", "Yes.")]


def test_captions_keep_a_text_that_was_not_sent(page):
    page.find("#to-captions").click()
    value = "return document.getElementById('text').value"
    page.run("""const box = document.getElementById('text');
        box.value = 'a'.repeat(2001); box.focus();""")
    page.press(Keys.ENTER)
    assert len(page.run(value)) == 2001 and "2001 of at most" in page.find("#notice").text
    page.run("document.getElementById('text').value = 'Yes.'")
    page.press(Keys.ENTER)
    assert page.run(value) == ""


DROP = """
const transfer = new DataTransfer();
transfer.items.add(new File([arguments[1]], arguments[0]));
for (const type of ['dragover', 'drop']) {
  document.body.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true,
    cancelable: true }));
}"""


def test_a_dropped_file_is_translated_with_progress(page):
    page.run(DOWNLOAD)
    srt = "1\r\n00:00:01,000 --> 00:00:02,000\r\nGood morning.\r\n\r\n2\r\n" \
          "00:00:03,000 --> 00:00:04,500\r\nWe are here.\r\nYes.\r\n"
    page.run(DROP, "film.srt", srt)
    page.until(lambda: page.find("#file .count").text == "3 of 3 lines")
    assert page.run("return document.querySelector('progress').value") == 3
    german = saved(page, "#file .results button")
    assert german == srt.replace("\r\n", "\n").replace("Good", "de Good").replace(
        "We", "de We").replace("Yes", "de Yes")
    assert "film.de.srt" in page.run("return saved")
    page.run(DROP, "picture.txt", "a\0b")
    page.until(lambda: "Only text files" in page.find("#notice").text)
    assert not page.find("#file").is_displayed()


def test_of_two_files_dropped_at_once_the_second_is_translated(page):
    page.run("""File.prototype.text = async function () {
          if (this.name === 'slow.txt') await new Promise((resolve) => { window.read = resolve; });
          return Blob.prototype.text.call(this);
        };""")
    page.run(DROP, "slow.txt", "One.\nTwo.")
    page.run(DROP, "fast.txt", "Three.")
    page.until(lambda: page.find("#file .count").text == "1 of 1 line")
    page.run("read(); return new Promise((resolve) => { setTimeout(resolve, 50); })")
    assert page.find("#file .name").text == "fast.txt"


def test_speaking_asks_first_and_says_where_the_sound_goes(page):
    page.find("#listen").click()
    asked = page.find("#voice").text
    assert "Google" in asked and "never the sound" in asked
    page.find("#voice [value=no]").click()
    assert page.run("return window.ear === undefined")
    page.until(lambda: not page.find("#voice").is_displayed())
    page.find("#listen").click()
    page.find("#voice [value=yes]").click()
    page.until(lambda: page.find("#listen").get_attribute("aria-pressed") == "true")
    page.until(lambda: page.run("return Boolean(window.ear)"))
    page.run("say(false, 'we', ' are')")
    page.until(lambda: page.find("#text").get_attribute("value") == "we are")
    page.run("say(true, 'We are here')")
    page.until(lambda: page.text("de") == "de We are here")
    page.find("#listen").click()
    assert page.find("#listen").get_attribute("aria-pressed") == "false"
    page.run("localStorage.removeItem('hydraglot.speech.agreed')")
    page.find("#listen").click()
    page.press(Keys.ESCAPE)
    page.until(lambda: not page.find("#voice").is_displayed())
    assert page.run("return localStorage['hydraglot.speech.agreed'] ?? 'asked'") == "asked"


def test_a_translation_is_read_aloud_where_there_is_a_voice(page):
    page.translate()
    page.menu("de", "speak")
    assert page.run("return spoken") == [["de", f"de {SENTENCE}"]]
    page.run("document.querySelector('[data-language=fr] .more').click()")
    assert not page.find("#menu [data-act=speak]").is_enabled()


def test_captions_take_turns_and_stay_awake(page):
    page.run("""window.locks = 0;
        navigator.wakeLock.request = async () => {
          locks += 1;
          return { release() { locks -= 1; } };
        }""")
    page.menu("ar", "pin")
    page.find("#to-captions").click()
    page.translate()
    places = """return [...document.querySelectorAll('.place')].map((place) =>
        [place.textContent, place.dataset.now, place.getBoundingClientRect().top])"""
    page.until(lambda: "أين محطة القطار؟" in [text for text, *_ in page.run(places)])
    first = page.run(places)
    page.translate("Yes.")
    page.until(lambda: "ar Yes." in [text for text, *_ in page.run(places)])
    second = page.run(places)
    stood = [text for text, *_ in first].index("أين محطة القطار؟")
    assert second[stood][0] == "أين محطة القطار؟" and second[stood][1] == "false"
    assert [top for *_, top in first] == [top for *_, top in second]
    page.press("No, I")
    page.until(lambda: "ar No, I" in [text for text, *_ in page.run(places)])
    page.press(Keys.ESCAPE)
    page.until(lambda: [text for text, *_ in page.run(places)].count("") == 1)
    size = "return getComputedStyle(document.querySelector('.place')).fontSize"
    before = float(page.run(size)[:-2])
    page.find(".larger").click()
    assert float(page.run(size)[:-2]) > before
    assert page.run("return locks") == 1
    page.find("#from-captions").click()
    assert page.run("return locks") == 0 and page.find("#cards").is_displayed()
    late = page.run("""navigator.wakeLock.request = () => new Promise((resolve) => {
          window.lend = () => { locks += 1; resolve({ release() { locks -= 1; } }); };
        });
        for (const id of ['to-captions', 'from-captions']) document.getElementById(id).click();
        lend();
        return new Promise((resolve) => { setTimeout(() => resolve(locks)); });""")
    assert late == 0, "a lock that comes too late is given back"


def test_the_connection_breaks_and_the_sentence_goes_on(page, fake):
    fake.step_s = 0.15
    try:
        page.press("One two three four five six seven.", Keys.ENTER)
        page.until(lambda: page.text("de").startswith("de One"))
        resumed = fake.resumed
        fake.kill()
        page.until(lambda: page.text("de") == "de One two three four five six seven.")
        assert fake.resumed == resumed + 1 and len(fake.accepted[-1]) == 4
    finally:
        fake.step_s = 0.005


def test_without_a_network_the_page_opens_and_says_so():
    with Fake(NINE) as fake, chromium() as driver:
        page = Page(driver, fake)
        driver.execute_async_script("navigator.serviceWorker.ready.then(() => arguments[0]())")
        driver.refresh()  # now through the worker, which keeps all files
        page.until(page.cards)
        fake.listen(False)
        driver.refresh()
        page.until(lambda: "not answering" in page.find("#banner").text)
        fake.listen(True)
        page.run("document.getElementById('banner-button').click()")
        page.until(lambda: page.cards() and not page.find("#banner").is_displayed())
        manifest = json.loads((WEB / "manifest.webmanifest").read_text())
        sizes = {icon["sizes"] for icon in manifest["icons"] if (WEB / icon["src"]).is_file()}
        assert {"192x192", "512x512"} <= sizes
        errors = driver.execute_cdp_cmd("Page.getInstallabilityErrors", {})
        assert errors["installabilityErrors"] == []


WORDS = sorted(path.stem for path in (WEB / "strings").glob("*.json"))


def words_of_the_page():
    """(of the page's text and labels, of t(), of the tables that t() is given values of)."""
    html = (WEB / "index.html").read_text()
    body = re.sub(r"<(noscript|svg|option)\b.*?</\1>", "", html[html.index("<body"):], flags=re.S)
    texts = {" ".join(text.split()) for text in re.findall(r">([^<]+)<", body)}
    texts |= set(re.findall(r'(?:aria-label|placeholder|title)="([^"]+)"', html))
    scripts = "".join(path.read_text() for path in sorted(WEB.glob("*.js")))
    keys = set(re.findall(r"\bt\(\s*'([^']+)'", scripts))
    tables = set(re.findall(r"'([A-Z][^'\n]*\.)'", scripts))
    tables |= set(re.findall(r"^  \w+: '([A-Z][a-z]+(?: [a-z]+)?)',$", scripts, re.M))
    return {text for text in texts if re.search("[A-Za-z]", text)}, keys, tables


def test_every_word_of_the_page_is_in_every_language():
    assert WORDS == ["de", "en", "es", "fr", "ja", "nl", "ru", "sv", "tr", "zh"]
    tables = {tag: json.loads((WEB / "strings" / f"{tag}.json").read_text()) for tag in WORDS}
    keys = set(tables["de"])
    for tag in WORDS[2:]:
        assert set(tables[tag]) == keys, tag
    texts, called, listed = words_of_the_page()
    assert keys - texts - called - listed == set(), "translated but not used"
    assert called - keys == set(), "used but not translated"
    assert texts - keys == {"hydraglot", "A", "Enter", "Esc", "TXT", "SRT", "VTT"}
    for key, words in tables["ru"].items():
        for tag in WORDS:
            forms = tables[tag].get(key, key)
            for form in forms.values() if isinstance(forms, dict) else [forms]:
                assert set(re.findall(r"{\w+}", form)) == set(re.findall(r"{\w+}", key)), (tag, key)


@pytest.mark.parametrize("tag, words", [("ru", "8 языков"), ("ja", "8言語"), ("de", "8 Sprachen")])
def test_the_page_speaks_the_persons_language(page, tag, words):
    page.run("localStorage['hydraglot.words'] = arguments[0]", tag)
    page.driver.refresh()
    page.until(lambda: page.find("#picker-words").text == words)
    assert page.find("html").get_attribute("lang") == tag
    left = page.run("""const words = [];
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        for (let n = walker.nextNode(); n; n = walker.nextNode()) {
          if (!n.parentElement.closest('[lang]:not(html), script, noscript, .chip, kbd, b')) {
            words.push(n.data.trim().replace(/\\s+/g, ' '));
          }
        }
        return [...words, ...[...document.querySelectorAll('[aria-label]')].map((e) =>
          e.getAttribute('aria-label'))]""")
    known = json.loads((WEB / "strings" / f"{tag}.json").read_text())
    assert [word for word in left if word in known and known[word] != word] == []
