/* strings.js: the page's own words in the person's language.
 *
 * The English words are the keys: strings/TAG.json has their translations, one file for each
 * language, and what it lacks stays English. A value of plural forms ({one, other, ...}) is chosen
 * by n. early.js has put the language on the document before the first paint.
 */
const { lang } = document.documentElement;
const plural = new Intl.PluralRules(lang);
const names = new Intl.DisplayNames(lang, { type: 'language', fallback: 'none' });

async function load() {
  try {
    return await (await fetch(new URL(`strings/${lang}.json`, import.meta.url))).json();
  } catch {
    return {}; /* offline before it was ever loaded: English, then */
  }
}
const table = await load();

/** @param {string} english the key @param {Record<string, string | number>} [values] of {name}s */
export function t(english, values = {}) {
  let words = table[english] ?? english;
  if (typeof words === 'object') words = words[plural.select(values.n)] ?? words.other;
  return words.replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}

/** Puts the page's language into all words of a tree that are not the person's own. */
export function translate(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const words = node.data.trim().replace(/\s+/g, ' ');
    if (words in table) node.data = node.data.replace(/\S[^]*\S|\S/, () => t(words));
  }
  for (const attribute of ['aria-label', 'placeholder', 'title']) {
    for (const element of root.querySelectorAll(`[${attribute}]`)) {
      element.setAttribute(attribute, t(element.getAttribute(attribute)));
    }
  }
  for (const { content } of root.querySelectorAll('template')) translate(content);
}

export const number = new Intl.NumberFormat(lang, { maximumFractionDigits: 0 });

/** The name of a served language in the page's language, else as the service calls it. */
export function languageName({ tag, name }) {
  return lang === 'en' ? name : titled(names.of(tag) ?? name, lang);
}

/** ICU gives names as they stand in running text ("español"); a title begins with a capital. */
export function titled(name, tag) {
  const [first = ''] = name;
  return first.toLocaleUpperCase(tag) + name.slice(first.length);
}
