// @microsoft/msgraph-beta-sdk: the models and the adapter of the newer, generated client.
// The package with the request builders of deviceManagement is not published, so the addresses are written here
// (clients.md section 3).
import assert from "node:assert/strict";
import { test } from "node:test";

import { HttpMethod, RequestInformation } from "@microsoft/kiota-abstractions";
import { AzureIdentityAuthenticationProvider } from "@microsoft/kiota-authentication-azure";
import { CompressionHandler, HttpClient, MiddlewareFactory } from "@microsoft/kiota-http-fetchlibrary";
import { GraphBetaRequestAdapter } from "@microsoft/msgraph-beta-sdk";
import {
  createDeviceManagementDomainJoinConnectorCollectionResponseFromDiscriminatorValue as asCollection,
  createDeviceManagementDomainJoinConnectorFromDiscriminatorValue as asConnector,
  DeviceManagementDomainJoinConnectorStateObject as State,
  serializeDeviceManagementDomainJoinConnector as serialize,
} from "@microsoft/msgraph-beta-sdk/models/index.js";
import { createODataErrorFromDiscriminatorValue } from "@microsoft/msgraph-beta-sdk/models/oDataErrors/index.js";
import { BatchRequestContent, PageIterator } from "@microsoft/msgraph-sdk-core";

import { awkward, crowd, everyRow, guid, host, nobody, origin, path, quoted, reader, scope, throttled, unique, writer } from "./service.js";

// Kiota's key for whatever status of failure has no error of its own.
const errors = { XXX: createODataErrorFromDiscriminatorValue };
const collection = `{+baseurl}${path}{?%24count,%24filter,%24orderby,%24search,%24select,%24skip,%24top}`;
const single = `{+baseurl}${path}/{id}{?%24select}`;
const number = `{+baseurl}${path}/$count{?%24filter,%24search}`;

function signedIn(token = writer, at = origin, http = undefined) {
  const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) };
  const provider = new AzureIdentityAuthenticationProvider(credential, [scope], undefined, new Set([host]));
  const adapter = new GraphBetaRequestAdapter(provider, undefined, undefined, http);
  adapter.baseUrl = `${at}/beta`;
  return adapter;
}

const adapter = signedIn();

function request(method, template, parameters = {}, body = undefined, by = adapter) {
  const options = Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [name === "id" ? name : `%24${name}`, value]),
  );
  const made = new RequestInformation(method, template, { baseurl: by.baseUrl, ...options });
  made.headers.tryAdd("Accept", template === number ? "text/plain;q=0.9" : "application/json");
  if (body) made.setContentFromParsable(by, "application/json", body, serialize);
  return made;
}

const create = (body, by = adapter) => by.send(request(HttpMethod.POST, collection, {}, body, by), asConnector, errors);
const read = (id, by = adapter) => by.send(request(HttpMethod.GET, single, { id }, undefined, by), asConnector, errors);
const change = (id, body) => adapter.send(request(HttpMethod.PATCH, single, { id }, body), asConnector, errors);
const remove = (id) => adapter.sendNoResponseContent(request(HttpMethod.DELETE, single, { id }), errors);
const list = (options = {}, by = adapter) =>
  by.send(request(HttpMethod.GET, collection, options, undefined, by), asCollection, errors);

const connector = (displayName, more = {}) => ({
  displayName,
  lastConnectionDateTime: new Date("2026-01-02T01:04:05.678Z"),
  state: State.ErrorEscaped ?? State.Error,
  version: "6.2204.1.0",
  ...more,
});

async function refused(act, status, code) {
  const error = await act.then(
    () => assert.fail("it was not refused"),
    (reason) => reason,
  );
  assert.equal(error.responseStatusCode, status);
  assert.equal(error.errorEscaped.code, code);
  assert.ok(error.errorEscaped.message);
  assert.match(error.errorEscaped.innerError.requestId, guid);
  assert.ok(error.errorEscaped.innerError.clientRequestId);
  assert.ok(error.errorEscaped.innerError.date instanceof Date);
}

test("a connector is made, read, changed and removed", async () => {
  const body = connector(awkward());
  const made = await create(body);
  assert.match(made.id, guid);
  assert.equal(made.displayName, body.displayName);
  assert.equal(made.lastConnectionDateTime.getTime(), body.lastConnectionDateTime.getTime());
  assert.equal(made.state, "error");

  const found = await read(made.id);
  assert.equal(found.displayName, body.displayName);
  found.version = "7";
  assert.equal((await change(made.id, found)).version, "7");
  const changed = await change(made.id, { state: "inactive" });
  assert.deepEqual([changed.state, changed.version, changed.displayName], ["inactive", "7", body.displayName]);

  await remove(made.id);
  await refused(read(made.id), 404, "ResourceNotFound");
});

test("every option of the list", async () => {
  const name = unique("options");
  for (const [at, word] of ["alpha", "beta", "gamma", "delta"].entries()) {
    await create(connector(`${name} ${word}`, { state: ["active", "error", "inactive", "active"][at] }));
  }
  const words = ({ value }) => value.map((each) => each.displayName.split(" ").at(-1));
  const filter = `startswith(displayName,${quoted(name)})`;
  assert.deepEqual(words(await list({ filter, orderby: ["displayName"] })), ["alpha", "beta", "delta", "gamma"]);
  assert.deepEqual(words(await list({ filter, orderby: ["displayName"], skip: 1, top: 2 })), ["beta", "delta"]);
  assert.deepEqual(words(await list({ search: `"${name}" AND "gamma"` })), ["gamma"]);
  const some = await list({ filter, select: ["id", "displayName"], count: true, top: 1 });
  assert.deepEqual([some.odataCount, some.value.length, some.value[0].version], [4, 1, undefined]);
  const active = await list({ filter: `${filter} and state eq 'active'`, orderby: ["displayName desc"] });
  assert.deepEqual(words(active), ["delta", "alpha"]);
  assert.equal(await adapter.sendPrimitive(request(HttpMethod.GET, number, { filter }), "number", errors), 4);
});

test("a filter takes every character", async () => {
  const name = awkward();
  const made = await create(connector(name));
  const { value } = await list({ filter: `displayName eq ${quoted(name)}` });
  assert.deepEqual(value.map((each) => each.id), [made.id]);
});

test("the iterator passes each of 2,500 rows once", async () => {
  const walker = signedIn(crowd);
  const names = [];
  const iterator = new PageIterator(walker, await list({}, walker), (each) => names.push(each.displayName) > 0, asCollection, errors);
  await iterator.iterate();
  assert.deepEqual(names.toSorted(), everyRow);
});

test("every operation in one batch", async () => {
  const made = [await create(connector(unique())), await create(connector(unique())), await create(connector(unique()))];
  const name = awkward();
  const content = new BatchRequestContent(adapter, errors);
  const ids = {
    get: content.addBatchRequest(request(HttpMethod.GET, single, { id: made[0].id })).id,
    // Its body goes out in base64 and without a header (clients.md item 25).
    post: content.addBatchRequest(request(HttpMethod.POST, collection, {}, connector(name))).id,
    patch: content.addBatchRequest(request(HttpMethod.PATCH, single, { id: made[1].id }, { version: "8" })).id,
    delete: content.addBatchRequest(request(HttpMethod.DELETE, single, { id: made[2].id })).id,
    none: content.addBatchRequest(request(HttpMethod.GET, single, { id: nobody })).id,
  };
  const answers = await content.postAsync();
  const statuses = Object.fromEntries(Object.entries(ids).map(([key, id]) => [key, answers.getResponseById(id).status]));
  assert.deepEqual(statuses, { get: 200, post: 201, patch: 200, delete: 204, none: 404 });
  // The client drops bodies that are JSON objects (clients.md item 26), so what was done is looked up.
  assert.equal((await list({ filter: `displayName eq ${quoted(name)}` })).value.length, 1);
  assert.equal((await read(made[1].id)).version, "8");
});

test("a compressed body is understood", async () => {
  const sent = [];
  const counting = async (url, init) => {
    const response = await fetch(url, init);
    sent.push([new Headers(init.headers).get("content-encoding"), response.status]);
    return response;
  };
  const http = new HttpClient(undefined, new CompressionHandler(), ...MiddlewareFactory.getDefaultMiddlewares(counting));
  const name = awkward();
  const made = await create(connector(name), signedIn(writer, origin, http));
  assert.equal(made.displayName, name);
  assert.deepEqual(sent, [["gzip", 201]]);
  assert.equal((await read(made.id)).displayName, name);
});

test("refusals are errors with all their fields", async () => {
  await refused(create({ displayName: "x" }), 400, "ModelValidationFailure");
  await refused(list({ filter: "displayName eq" }), 400, "BadRequest");
  await refused(change(nobody, { version: "1" }), 404, "ResourceNotFound");
  await refused(list({}, signedIn("nonsense")), 401, "InvalidAuthenticationToken");
  await refused(create(connector(unique()), signedIn(reader)), 403, "Forbidden");
});

test("a throttled create makes one connector", async () => {
  const name = unique("throttled");
  const start = performance.now();
  const made = await create(connector(name), signedIn(writer, throttled));
  assert.ok(performance.now() - start >= 990);
  const { value } = await list({ filter: `displayName eq ${quoted(name)}` });
  assert.deepEqual(value.map((each) => each.id), [made.id]);
});
