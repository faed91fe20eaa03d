// A person with a browser that runs no script: reads the sign-in pages, fills in their forms, and sends them.
import assert from "node:assert/strict";

import { person } from "./service.js";

class Browser {
  cookie = "";

  async opened(url, form = undefined) {
    const headers = this.cookie ? { cookie: this.cookie } : {};
    const body = form && new URLSearchParams(form);
    const answer = await fetch(url, { method: body ? "POST" : "GET", headers, body, redirect: "manual" });
    const [set] = answer.headers.getSetCookie();
    if (set) this.cookie = set.split(";")[0];
    return { url, status: answer.status, location: answer.headers.get("location"), text: await answer.text() };
  }

  sent(page, typed) {
    const [, action] = page.text.match(/<form method="post" action="([^"]*)"/) ?? assert.fail(page.text);
    const [, ticket] = page.text.match(/name="ticket" value="([^"]*)"/);
    return this.opened(new URL(action, page.url), { ticket, ...typed });
  }
}

const word = { ...person, act: "accept" };

export async function allowsDevice(uri, userCode) {
  const browser = new Browser();
  const asked = await browser.sent(await browser.opened(uri), { user_code: userCode });
  const done = await browser.sent(asked, word);
  assert.match(done.text, /You are signed in/);
}

export async function allows(uri) {
  const browser = new Browser();
  const done = await browser.sent(await browser.opened(uri), word);
  assert.equal(done.status, 303);
  return new URL(done.location).searchParams;
}
