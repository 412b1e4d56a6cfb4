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
  if (OWN.test(url.pathname)) event.respondWith(answer(event));
});

async function answer(event) {
  const { request } = event;
  let response;
  try {
    response = await fetch(request);
  } catch (error) {
    const kept = await caches.match(request, { ignoreSearch: true, cacheName: STORE });
    if (kept) return kept;
    throw error;
  }
  /* A full disk, or no storage at all, is no reason not to answer. */
  if (response.ok) event.waitUntil(keep(request, response.clone()).catch(() => {}));
  return response;
}

async function keep(request, response) {
  const store = await caches.open(STORE);
  await store.put(request, response);
}
