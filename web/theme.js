/* theme.js: puts the remembered theme on the page before the first paint, so it loads as a plain
 * script in the head. Without a choice the page follows the system. */
try {
  const theme = localStorage.getItem('hydraglot.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  /* storage may be forbidden; the system's theme then stays */
}
