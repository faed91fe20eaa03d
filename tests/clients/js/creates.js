// Makes CLIENTS_NUMBER connectors, several at once, by the client that is named; prints how often it was told to wait.
import graph from "@microsoft/microsoft-graph-client";
import { HttpMethod, RequestInformation } from "@microsoft/kiota-abstractions";
import { AzureIdentityAuthenticationProvider } from "@microsoft/kiota-authentication-azure";
import { GraphBetaRequestAdapter } from "@microsoft/msgraph-beta-sdk";
import {
  createDeviceManagementDomainJoinConnectorFromDiscriminatorValue as asConnector,
  DeviceManagementDomainJoinConnectorStateObject as State,
  serializeDeviceManagementDomainJoinConnector as serialize,
} from "@microsoft/msgraph-beta-sdk/models/index.js";

const [client] = process.argv.slice(2);
const { CLIENTS_ORIGIN: origin, CLIENTS_WRITER: token } = process.env;
const [number, atOnce] = [process.env.CLIENTS_NUMBER, process.env.CLIENTS_AT_ONCE].map(Number);
const path = "/deviceManagement/domainJoinConnectors";
const host = new URL(origin).hostname;

let waits = 0;
const fetched = globalThis.fetch;
globalThis.fetch = async (...asked) => {
  const answer = await fetched(...asked);
  if (answer.status === 429) waits += 1;
  return answer;
};

function byGraphClient() {
  const authProvider = { getAccessToken: async () => token };
  const customHosts = new Set([host]);
  const made = graph.Client.initWithMiddleware({ baseUrl: `${origin}/`, defaultVersion: "beta", authProvider, customHosts });
  const rest = { lastConnectionDateTime: "2026-01-02T01:04:05.678Z", state: "error", version: "1" };
  return (displayName) => made.api(path).post({ displayName, ...rest });
}

function byKiota() {
  const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) };
  const provider = new AzureIdentityAuthenticationProvider(credential, ["x/.default"], undefined, new Set([host]));
  const adapter = new GraphBetaRequestAdapter(provider);
  adapter.baseUrl = `${origin}/beta`;
  const rest = { lastConnectionDateTime: new Date(), state: State.ErrorEscaped ?? State.Error, version: "1" };
  return (displayName) => {
    const request = new RequestInformation(HttpMethod.POST, `{+baseurl}${path}`, { baseurl: adapter.baseUrl });
    request.headers.tryAdd("Accept", "application/json");
    request.setContentFromParsable(adapter, "application/json", { displayName, ...rest }, serialize);
    return adapter.send(request, asConnector, {});
  };
}

// Makes changes to nothing until the client is refused one, however slow the machine is that it runs on.
async function useUp() {
  const url = `${path}/00000000-0000-0000-0000-000000000009`;
  const requests = Array.from({ length: 20 }, (_, at) => ({ id: String(at), method: "DELETE", url }));
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  while (!waits) {
    await fetched(`${origin}/beta/$batch`, { method: "POST", headers, body: JSON.stringify({ requests }) });
  }
}

const create = { "graph-client": byGraphClient, kiota: byKiota }[client]();
let next = 0;
async function work() {
  while (next < number) {
    const at = next++;
    await create(`${client} ${String(at).padStart(4, "0")}`);
  }
}

await Promise.all([useUp(), ...Array.from({ length: atOnce }, work)]);
console.log(waits);
