// The service that tests/clients/test_javascript.py started, and what the tests share.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

function given(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: these tests are run by tests/clients/test_javascript.py`);
  return value;
}

export const origin = given("CLIENTS_ORIGIN");
export const throttled = given("CLIENTS_THROTTLED_ORIGIN");
export const host = new URL(origin).hostname;
export const writer = given("CLIENTS_WRITER");
export const reader = given("CLIENTS_READER");
export const crowd = given("CLIENTS_CROWD");
export const application = JSON.parse(given("CLIENTS_APPLICATION"));
export const certified = JSON.parse(given("CLIENTS_CERTIFIED"));
export const publicApplication = JSON.parse(given("CLIENTS_PUBLIC"));
export const person = JSON.parse(given("CLIENTS_PERSON"));
export const path = "/deviceManagement/domainJoinConnectors";
export const scope = "https://graph.microsoft.com/.default";
export const nobody = "00000000-0000-0000-0000-000000000009";

export const unique = (prefix = "js") => `${prefix}-${randomUUID().slice(0, 13)}`;

export const everyRow = Array.from({ length: 2500 }, (_, at) => `row ${String(at).padStart(4, "0")}`);

export const awkward = () => unique(`O'Brien & Söhne +100%/#?="x" 東京 🐧`);

export const quoted = (text) => `'${text.replaceAll("'", "''")}'`;

export const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
