// @azure/identity and @azure/msal-node at the service's own token endpoint, and what their tokens open.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ClientSecretCredential } from "@azure/identity";
import { ConfidentialClientApplication } from "@azure/msal-node";
import graph from "@microsoft/microsoft-graph-client";
import tokens from "@microsoft/microsoft-graph-client/authProviders/azureTokenCredentials/index.js";

import { application, host, origin, path, scope } from "./service.js";

const { tenant_id: tenant, client_id: clientId, client_secret: clientSecret } = application;

const credential = (secret = clientSecret) =>
  new ClientSecretCredential(tenant, clientId, secret, { authorityHost: origin, disableInstanceDiscovery: true });

const msal = (secret = clientSecret) =>
  new ConfidentialClientApplication({
    auth: { clientId, clientSecret: secret, authority: `${origin}/${tenant}`, knownAuthorities: [new URL(origin).host] },
  });

function opens(authProvider) {
  const client = graph.Client.initWithMiddleware({
    baseUrl: `${origin}/`,
    defaultVersion: "beta",
    authProvider,
    customHosts: new Set([host]),
  });
  return client.api(path).top(1).get();
}

test("@azure/identity signs in, and the Graph client's own provider takes it", async () => {
  const provider = new tokens.TokenCredentialAuthenticationProvider(credential(), { scopes: [scope] });
  assert.ok(Array.isArray((await opens(provider)).value));
});

test("@azure/identity is told of a wrong secret", async () => {
  await assert.rejects(credential("wrong").getToken(scope), /AADSTS7000215/);
});

test("msal-node signs in, and keeps its token", async () => {
  const client = msal();
  const answer = await client.acquireTokenByClientCredential({ scopes: [scope] });
  assert.equal(answer.tokenType, "Bearer");
  assert.ok(Array.isArray((await opens({ getAccessToken: async () => answer.accessToken })).value));
  const again = await client.acquireTokenByClientCredential({ scopes: [scope] });
  assert.deepEqual([again.accessToken, again.fromCache], [answer.accessToken, true]);
});

test("msal-node is told of a wrong secret", async () => {
  await assert.rejects(msal("wrong").acquireTokenByClientCredential({ scopes: [scope] }), /AADSTS7000215/);
});
