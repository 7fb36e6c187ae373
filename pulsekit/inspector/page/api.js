// Requests to the server that served this page. Each throws an Error with the words of the server.

async function ask(path, options) {
  const response = await fetch(path, { credentials: "same-origin", redirect: "error", ...options }).catch(() => {
    throw new Error("pulsekit inspector does not answer: it was stopped");
  });
  if (!response.ok) throw new Error(await response.text());
  return response;
}

export const json = async (path) => (await ask(path)).json();

export const text = async (path) => (await ask(path)).text();

export const post = (path, body) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
