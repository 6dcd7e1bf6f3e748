// A client of node-opcua, which knows nothing of our server: one JSON object a line of what it was answered.
// node opcua_client.js {"url": ..., "certificate": ..., "key": ..., "uri": ..., "pki": ..., "user": ..., "password": ..., "waits_for": 3}
const opcua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");

const ROOT = "ns=2;s=VisionSystem";
const asked = JSON.parse(process.argv[2]);
const say = (what, value) => console.log(JSON.stringify({ what, value }));

async function look(session) {
  const found = await session.browse(ROOT);
  say("browse", found.references.map((one) => one.browseName.toString()));
  for (const path of ["VisionStateMachine.CurrentState", "RecipeManagement.ActiveProgram", "Health.SoftwareVersion",
    "ResultManagement.LatestResult.ResultId", "ResultManagement.LatestResult.Verdict", "ResultManagement.LatestResult.Score",
    "ResultManagement.LatestResult.ResultContent"]) {
    const { statusCode, value } = await session.read({ nodeId: `${ROOT}.${path}`, attributeId: opcua.AttributeIds.Value });
    say(path, statusCode.name === "Good" ? value.value?.text ?? value.value : statusCode.name);
  }
}

async function listen(session) {
  const subscription = await session.createSubscription2({ requestedPublishingInterval: 100, requestedMaxKeepAliveCount: 10,
    requestedLifetimeCount: 100, publishingEnabled: true });
  const names = ["EventType", "Message", "Severity"].map((name) => `${name}`);
  const ours = ["ResultId", "Verdict", "Reason", "Score", "Published"].map((name) => `2:${name}`);
  const filter = opcua.constructEventFilter([...names, ...ours]);
  const events = await subscription.monitor({ nodeId: "i=2253", attributeId: opcua.AttributeIds.EventNotifier },
    { samplingInterval: 0, queueSize: 100, filter, discardOldest: true }, opcua.TimestampsToReturn.Both);
  const verdicts = await subscription.monitor({ nodeId: `${ROOT}.ResultManagement.LatestResult.Verdict`,
    attributeId: opcua.AttributeIds.Value }, { samplingInterval: 100, queueSize: 10 }, opcua.TimestampsToReturn.Both);
  let left = asked.waits_for;
  const heard = new Promise((done) => {
    events.on("changed", (fields) => {
      const [type, message, severity, ...rest] = fields.map((field) => field.value);
      if (!type.toString().includes("ResultReadyEventType")) return;
      say("event", [message.text, severity, ...rest]);
      left -= 1;
      if (left === 0) done();
    });
    verdicts.on("changed", (value) => say("verdict", value.value.value));
  });
  say("subscribed", true);
  await heard;
  await subscription.terminate();
}

async function refused(what, work) {
  try {
    say(what, (await work())?.toString() ?? "done");
  } catch (err) {
    say(what, err.message.split("\n")[0]);
  }
}

(async () => {
  const manager = new OPCUACertificateManager({ rootFolder: asked.pki, automaticallyAcceptUnknownCertificate: true });
  await manager.initialize();
  const client = opcua.OPCUAClient.create({ applicationName: "a client of node-opcua", applicationUri: asked.uri,
    certificateFile: asked.certificate, privateKeyFile: asked.key, clientCertificateManager: manager,
    securityMode: opcua.MessageSecurityMode[asked.mode ?? "SignAndEncrypt"],
    securityPolicy: opcua.SecurityPolicy[asked.policy ?? "Basic256Sha256"], endpointMustExist: false,
    connectionStrategy: { maxRetry: 0, initialDelay: 100, maxDelay: 200 }, requestedSessionTimeout: 60000 });
  try {
    await client.connect(asked.url);
    say("connected", `${client.securityPolicy.split("#")[1]}, ${opcua.MessageSecurityMode[client.securityMode]}`);
    const session = await client.createSession(asked.user
      ? { type: opcua.UserTokenType.UserName, userName: asked.user, password: asked.password }
      : { type: opcua.UserTokenType.Anonymous });
    say("session", asked.user ?? "anonymous");
    await look(session);
    await refused("write", () => session.write({ nodeId: `${ROOT}.ResultManagement.LatestResult.Verdict`,
      attributeId: opcua.AttributeIds.Value, value: { value: { dataType: "String", value: "PASS" } } }));
    if (asked.waits_for) await listen(session);
    await session.close();
  } catch (err) {
    say("refused", err.message.split("\n")[0]);
  }
  await client.disconnect();
  await manager.dispose();
  process.exit(0);
})();
