/* early.js: what must be known before the first paint, so it loads as a plain script in the head:
 * the theme (the system's, unless one was chosen) and the language of the page's own words, which
 * stay hidden until they are there. */
(() => {
  const known = ['en', 'de', 'es', 'fr', 'ja', 'nl', 'ru', 'sv', 'tr', 'zh'];
  const { documentElement: root } = document;
  const recall = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; /* storage may be forbidden; the system's choice then stays */
    }
  };
  const theme = recall('hydraglot.theme');
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
  const wanted = [recall('hydraglot.words'), ...navigator.languages];
  root.lang = wanted.map((tag) => tag?.split('-')[0]).find((tag) => known.includes(tag)) ?? 'en';
  if (root.lang !== 'en') root.dataset.words = 'coming';
})();
