// A Sparkplug host that nobody here wrote the decoder of: Eclipse Tahu's sparkplug-payload (protobufjs) over MQTT.js.
// Says one JSON object a line: each message as it was decoded, and what this host did itself.
"use strict";
const mqtt = require("mqtt");
const sparkplug = require("sparkplug-payload").get("spBv1.0");

const asked = JSON.parse(process.argv[2]);
const plain = (key, value) => (typeof value === "bigint" ? Number(value) : value);
const say = (what, value) => process.stdout.write(JSON.stringify({ what, value }, plain) + "\n");
const number = (value) => (value !== null && typeof value === "object" && "low" in value ? Number(value) : value);
const state = (online) => JSON.stringify({ online, timestamp: Date.now() });
const stateTopic = `spBv1.0/STATE/${asked.host}`;
const client = mqtt.connect(`mqtt://127.0.0.1:${asked.port}`, {
  clientId: "foreign-host",
  will: { topic: stateTopic, payload: state(false), qos: 1, retain: true },
});
let parts = 0;
let births = 0;

client.on("connect", () => {
  client.subscribe("spBv1.0/#", { qos: 1 }, () => client.publish(stateTopic, state(true), { qos: 1, retain: true }));
});
client.on("message", (topic, payload, packet) => {
  const [, group, type, node, device] = topic.split("/");
  if (group === "STATE" || type === "NCMD") return;
  const read = sparkplug.decodePayload(payload);
  const metrics = (read.metrics || []).map((metric) => ({
    name: metric.name,
    type: metric.type,
    value: number(metric.value),
    isNull: Boolean(metric.isNull),
    isHistorical: Boolean(metric.isHistorical),
    timestamp: number(metric.timestamp),
  }));
  say("message", { type, group, node, device, qos: packet.qos, retain: packet.retain, seq: number(read.seq), metrics });
  births += type === "NBIRTH";
  if (type === "DDATA") {
    parts += 1;
    if (parts === asked.rebirthAfter) {
      const metric = { name: "Node Control/Rebirth", type: "Boolean", value: true };
      client.publish(`spBv1.0/${group}/NCMD/${node}`, sparkplug.encodePayload({ timestamp: Date.now(), metrics: [metric] }));
    }
  }
  if (type === "DBIRTH" && births === 2) say("reborn", true);
  if (parts === asked.waitsFor && births === 2) client.publish(stateTopic, state(false), { qos: 1, retain: true });
  if (type === "NDEATH") client.end(false, {}, () => process.exit(0));
});
setTimeout(() => process.exit(3), 60000);
