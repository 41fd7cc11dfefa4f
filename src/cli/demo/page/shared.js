// What every part of the page uses. Whatever came from elsewhere is put into the page as text, never as markup.

export const one = (selector, within = document) => within.querySelector(selector);

/** The last that the proxy said of itself; null before that. */
export const proxy = { state: null };

/** Asks the page's service; an answer that is no success is an error with the reason it gives. */
export async function ask(method, path, body) {
  const request = { method };
  if (body !== undefined) {
    request.headers = { "content-type": "application/json" };
    request.body = JSON.stringify(body);
  }
  const answer = await fetch(path, request);
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw new Error(said.problem ?? `${path} is answered with ${answer.status}; is the route “page” still there?`);
  }
  return said;
}
