// @azure/identity and @azure/msal-node at the service's own token endpoint, and what their tokens open.
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { ClientCertificateCredential, ClientSecretCredential, DeviceCodeCredential } from "@azure/identity";
import { ConfidentialClientApplication, CryptoProvider, PublicClientApplication } from "@azure/msal-node";
import graph from "@microsoft/microsoft-graph-client";
import tokens from "@microsoft/microsoft-graph-client/authProviders/azureTokenCredentials/index.js";

import { allows, allowsDevice } from "./person.js";
import { application, certified, host, origin, path, publicApplication, scope } from "./service.js";

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

const options = { authorityHost: origin, disableInstanceDiscovery: true };
const places = { authority: `${origin}/${tenant}`, knownAuthorities: [new URL(origin).host] };
const using = (accessToken) => opens({ getAccessToken: async () => accessToken });
const asPerson = new tokens.TokenCredentialAuthenticationProvider(
  new DeviceCodeCredential({
    ...options,
    tenantId: publicApplication.tenant_id,
    clientId: publicApplication.client_id,
    userPromptCallback: ({ verificationUri, userCode }) => allowsDevice(verificationUri, userCode),
  }),
  { scopes: [scope] },
);

test("@azure/identity signs in by a certificate", async () => {
  const byCertificate = new ClientCertificateCredential(certified.tenant_id, certified.client_id, certified.key, options);
  const provider = new tokens.TokenCredentialAuthenticationProvider(byCertificate, { scopes: [scope] });
  assert.ok(Array.isArray((await opens(provider)).value));
});

test("@azure/identity signs a person in on another device", async () => {
  assert.ok(Array.isArray((await opens(asPerson)).value));
});

test("msal-node signs in by a certificate", async () => {
  const pem = readFileSync(certified.key, "utf8");
  const certificate = new X509Certificate(pem.slice(pem.indexOf("-----BEGIN CERTIFICATE")));
  const thumbprintSha256 = certificate.fingerprint256.replaceAll(":", "");
  const privateKey = pem.slice(0, pem.indexOf("-----BEGIN CERTIFICATE"));
  const client = new ConfidentialClientApplication({
    auth: { ...places, clientId: certified.client_id, clientCertificate: { thumbprintSha256, privateKey } },
  });
  const answer = await client.acquireTokenByClientCredential({ scopes: [scope] });
  assert.ok(Array.isArray((await using(answer.accessToken)).value));
});

const onAMachine = () => new PublicClientApplication({ auth: { ...places, clientId: publicApplication.client_id } });

test("msal-node signs a person in on another device, and refreshes the token", async () => {
  const client = onAMachine();
  const answer = await client.acquireTokenByDeviceCode({
    scopes: [scope],
    deviceCodeCallback: ({ verificationUri, userCode }) => void allowsDevice(verificationUri, userCode),
  });
  assert.match(answer.account.username, /^ann/);
  assert.ok(Array.isArray((await using(answer.accessToken)).value));
  const later = await client.acquireTokenSilent({ account: answer.account, scopes: [scope], forceRefresh: true });
  assert.notEqual(later.accessToken, answer.accessToken);
  assert.ok(Array.isArray((await using(later.accessToken)).value));
});

test("msal-node signs a person in by a code with PKCE", async () => {
  const client = onAMachine();
  const { verifier, challenge } = await new CryptoProvider().generatePkceCodes();
  const asked = { scopes: [scope], redirectUri: publicApplication.redirect_uri };
  const uri = await client.getAuthCodeUrl({ ...asked, codeChallenge: challenge, codeChallengeMethod: "S256", state: "s" });
  const told = await allows(uri);
  assert.equal(told.get("state"), "s");
  const code = told.get("code");
  const answer = await client.acquireTokenByCode({ ...asked, code, codeVerifier: verifier });
  assert.ok(Array.isArray((await using(answer.accessToken)).value));
  await assert.rejects(onAMachine().acquireTokenByCode({ ...asked, code, codeVerifier: verifier }), /AADSTS54005/);
});
