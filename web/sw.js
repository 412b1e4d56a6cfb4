/* sw.js: the service worker: the page opens without a network too, and says that it is offline.
 *
 * The network comes first, so a changed page shows at the next load; what it brought is kept for
 * when there is none. Only the page's own files: what the service answers is never kept.
 */
const STORE = 'hydraglot';
const OWN = /\/(?:[\w-]+\.(?:html|js|css|svg|webmanifest)|(?:strings|icons)\/[\w.-]+)?$/;

addEventListener('install', () => skipWaiting());
addEventListener('activate', (event) => event.waitUntil(clients.claim()));
addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== location.origin) return;
  if (OWN.test(url.pathname)) event.respondWith(answer(request));
});

async function answer(request) {
  const store = await caches.open(STORE);
  try {
    const response = await fetch(request);
    if (response.ok) await store.put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await store.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}
