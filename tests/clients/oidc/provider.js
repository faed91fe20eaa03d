// A certified OpenID provider on loopback: `node provider.js PORT ALGORITHM`. Its keys are new with each start, so that
// to start it again is to rotate them. It prints "ready" when it listens.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import Provider from "oidc-provider";

const [port, algorithm] = process.argv.slice(2);
const audience = "https://adjoin.example.org";
const scope = "DeviceManagementConfiguration.Read.All DeviceManagementConfiguration.ReadWrite.All";

const pair =
  algorithm === "ES256"
    ? generateKeyPairSync("ec", { namedCurve: "P-256" })
    : generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = { ...pair.privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: algorithm };

const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys: [key] },
  scopes: scope.split(" "),
  enabledJWA: { idTokenSigningAlgValues: [algorithm] },
  clients: [
    {
      client_id: "provisioning",
      client_secret: "provisioning-secret",
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: algorithm,
      scope,
    },
  ],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => audience,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope,
        audience: resource,
        accessTokenFormat: "jwt",
        accessTokenTTL: 600,
        jwt: { sign: { alg: algorithm } },
      }),
    },
  },
});

provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
