// @microsoft/microsoft-graph-client: the client library that most JavaScript callers of Graph use.
import assert from "node:assert/strict";
import { test } from "node:test";

import graph from "@microsoft/microsoft-graph-client";

import { awkward, crowd, everyRow, guid, host, nobody, origin, path, quoted, reader, throttled, unique, writer } from "./service.js";

const { BatchRequestContent, BatchResponseContent, Client, GraphError, PageIterator } = graph;

function signedIn(token = writer, at = origin) {
  return Client.initWithMiddleware({
    baseUrl: `${at}/`,
    defaultVersion: "beta",
    authProvider: { getAccessToken: async () => token },
    customHosts: new Set([host]),
  });
}

const client = signedIn();

const connector = (displayName, more = {}) => ({
  "@odata.type": "#microsoft.graph.deviceManagementDomainJoinConnector",
  displayName,
  lastConnectionDateTime: "2026-01-02T01:04:05.678Z",
  state: "error",
  version: "6.2204.1.0",
  ...more,
});

// The client leaves it to its caller to encode what an address cannot hold.
const named = (name) => encodeURIComponent(`displayName eq ${quoted(name)}`);
const beginning = (name) => encodeURIComponent(`startswith(displayName,${quoted(name)})`);

async function refused(act, statusCode, code) {
  const error = await act.then(
    () => assert.fail("it was not refused"),
    (reason) => reason,
  );
  assert.ok(error instanceof GraphError, String(error));
  assert.equal(error.statusCode, statusCode);
  assert.equal(error.code, code);
  assert.ok(error.message);
  assert.match(error.requestId, guid);
  assert.ok(Math.abs(new Date(`${JSON.parse(error.body).innerError.date}Z`) - Date.now()) < 60_000);
  assert.ok(error.date instanceof Date && !Number.isNaN(error.date.getTime()));
  assert.match(JSON.parse(error.body).innerError["client-request-id"], guid);
  return error;
}

test("a connector is made, read, changed and removed", async () => {
  const name = awkward();
  const made = await client.api(path).post(connector(name));
  assert.match(made.id, guid);
  assert.equal(made.displayName, name);
  assert.equal(made.lastConnectionDateTime, "2026-01-02T01:04:05.678Z");
  assert.equal(made.state, "error");
  assert.ok(made["@odata.context"].startsWith(`${origin}/beta/$metadata#`));

  assert.deepEqual(await client.api(`${path}/${made.id}`).get(), made);
  assert.equal((await client.api(`${path}('${made.id}')`).get()).id, made.id);

  const changed = await client.api(`${path}/${made.id}`).patch({ state: "active" });
  assert.deepEqual(changed, { ...made, state: "active" });
  const sentBack = await client.api(`${path}/${made.id}`).update({ ...changed, version: "7" });
  assert.equal(sentBack.version, "7");

  assert.equal(await client.api(`${path}/${made.id}`).delete(), undefined);
  await refused(client.api(`${path}/${made.id}`).get(), 404, "ResourceNotFound");
});

test("the published call is answered to the letter", async () => {
  const body = {
    "@odata.type": "#microsoft.graph.deviceManagementDomainJoinConnector",
    displayName: "Display Name value",
    lastConnectionDateTime: "2016-12-31T23:58:36.6670033-08:00",
    state: "error",
    version: "Version value",
  };
  const { "@odata.context": context, id, ...rest } = await client.api(path).post(body);
  assert.deepEqual(rest, body);
  assert.match(id, guid);
  assert.ok(context.endsWith("/beta/$metadata#deviceManagement/domainJoinConnectors/$entity"), context);
  await client.api(`${path}/${id}`).delete();
});

test("a stream can be asked for", async () => {
  const made = await client.api(path).post(connector(unique()));
  const response = await client.api(`${path}/${made.id}`).responseType("raw").get();
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type"), /^application\/json/);
  assert.match(response.headers.get("request-id"), guid);
  assert.equal((await response.json()).id, made.id);
});

test("every option of the list", async () => {
  const name = unique("options");
  for (const [at, word] of ["alpha", "beta", "gamma", "delta"].entries()) {
    await client.api(path).post(connector(`${name} ${word}`, { state: ["active", "error", "inactive", "active"][at] }));
  }
  const words = ({ value }) => value.map((each) => each.displayName.split(" ").at(-1));
  const mine = () => client.api(path).filter(beginning(name)).orderby("displayName");

  assert.deepEqual(words(await mine().get()), ["alpha", "beta", "delta", "gamma"]);
  assert.deepEqual(words(await mine().top(2).skip(1).get()), ["beta", "delta"]);
  assert.deepEqual(Object.keys((await mine().select("id,displayName").top(1).get()).value[0]).sort().slice(-2), ["displayName", "id"]);
  assert.equal((await mine().select(["id", "state"]).get()).value[0].version, undefined);
  const counted = await mine().top(1).count(true).get();
  assert.deepEqual([counted["@odata.count"], counted.value.length], [4, 1]);
  const filtered = client.api(path).filter(`startswith(displayName,'${name}') and state eq 'active'`);
  assert.deepEqual(words(await filtered.orderby("displayName desc").get()), ["delta", "alpha"]);
  assert.deepEqual(words(await client.api(path).search(`"${name}" AND "gamma"`).get()), ["gamma"]);
  const all = client.api(path).filter(beginning(name)).select("id,displayName").orderby("displayName desc").top(1).skip(1).count();
  const page = await all.get();
  assert.deepEqual([words(page), page["@odata.count"]], [["delta"], 4]);
});

test("a filter takes every character", async () => {
  const name = awkward();
  const made = await client.api(path).post(connector(name));
  const { value } = await client.api(path).filter(named(name)).get();
  assert.deepEqual(value.map((each) => each.id), [made.id]);
});

test("a count is a number", async () => {
  const name = unique("count");
  for (const at of [1, 2, 3]) await client.api(path).post(connector(`${name} ${at}`));
  assert.equal(Number(await client.api(`${path}/$count`).filter(beginning(name)).get()), 3);
});

test("the iterator passes each of 2,500 rows once", async () => {
  const names = [];
  const walker = signedIn(crowd);
  const iterator = new PageIterator(walker, await walker.api(path).get(), (each) => names.push(each.displayName) > 0);
  await iterator.iterate();
  assert.ok(iterator.isComplete());
  assert.deepEqual(names.toSorted(), everyRow);
});

test("order, filter and page size hold across pages", async () => {
  const names = [];
  const walker = signedIn(crowd);
  const headers = { Prefer: "odata.maxpagesize=300" };
  const first = await walker.api(path).headers(headers).filter("state ne 'error'").orderby("displayName desc").count().get();
  assert.deepEqual([first.value.length, first["@odata.count"]], [300, 1667]);
  await new PageIterator(walker, first, (each) => names.push(each.displayName) > 0, { headers }).iterate();
  assert.deepEqual(names, everyRow.filter((_, at) => at % 3 !== 1).reverse());
});

test("every operation in one batch", async () => {
  const made = [];
  for (let at = 0; at < 3; at += 1) made.push(await client.api(path).post(connector(unique())));
  const headers = { "content-type": "application/json" };
  const request = (method, url, body) =>
    new Request(`${origin}/beta${url}`, body ? { method, headers, body: JSON.stringify(body) } : { method });
  const name = awkward();
  const content = new BatchRequestContent([
    { id: "get", request: request("GET", `${path}/${made[0].id}`) },
    { id: "post", request: request("POST", path, connector(name)) },
    { id: "patch", request: request("PATCH", `${path}/${made[1].id}`, { version: "8" }) },
    { id: "delete", request: request("DELETE", `${path}/${made[2].id}`) },
    { id: "none", request: request("GET", `${path}/${nobody}`) },
    { id: "list", request: request("GET", `${path}?$filter=id%20eq%20'${made[0].id}'&$top=1`) },
  ]);
  const answers = new BatchResponseContent(await client.api("/$batch").post(await content.getContent()));
  const statuses = Object.fromEntries([...answers.getResponses()].map(([id, response]) => [id, response.status]));
  assert.deepEqual(statuses, { get: 200, post: 201, patch: 200, delete: 204, none: 404, list: 200 });
  const body = (id) => answers.getResponseById(id).json();
  assert.equal((await body("get")).id, made[0].id);
  assert.equal((await body("post")).displayName, name);
  assert.equal((await body("patch")).version, "8");
  assert.equal((await body("none")).error.code, "ResourceNotFound");
  assert.deepEqual((await body("list")).value.map((each) => each.id), [made[0].id]);
});

test("a request of a batch waits for another, and falls with it", async () => {
  const name = unique("depends");
  const post = (body) =>
    new Request(`${origin}/beta${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const list = () => new Request(`${origin}/beta${path}?$filter=${named(name)}`, { method: "GET" });
  const run = async (first) => {
    const content = new BatchRequestContent([
      { id: "1", request: post(first) },
      { id: "2", request: list(), dependsOn: ["1"] },
    ]);
    return new BatchResponseContent(await client.api("/$batch").post(await content.getContent()));
  };
  const good = await run(connector(name));
  assert.equal((await good.getResponseById("2").json()).value.length, 1);
  const bad = await run({ displayName: name });
  assert.deepEqual([bad.getResponseById("1").status, bad.getResponseById("2").status], [400, 424]);
});

test("refusals are errors with all their fields", async () => {
  const missing = await refused(client.api(path).post({ displayName: "x" }), 400, "ModelValidationFailure");
  assert.ok(missing.message);
  await refused(client.api(path).filter("displayName eq").get(), 400, "BadRequest");
  await refused(client.api(`${path}/${nobody}`).patch({ version: "1" }), 404, "ResourceNotFound");
  await refused(signedIn("nonsense").api(path).get(), 401, "InvalidAuthenticationToken");
  const name = unique("forbidden");
  await refused(signedIn(reader).api(path).post(connector(name)), 403, "Forbidden");
  assert.equal((await signedIn(reader).api(path).filter(named(name)).get()).value.length, 0);
});

test("a throttled create makes one connector", async () => {
  const name = unique("throttled");
  const start = performance.now();
  const made = await signedIn(writer, throttled).api(path).post(connector(name));
  assert.ok(performance.now() - start >= 990);
  const { value } = await client.api(path).filter(named(name)).get();
  assert.deepEqual(value.map((each) => each.id), [made.id]);
});
