// Plays dnscontrol: calls of the file given are kept and printed as JSON.
// What dnscontrol itself would make of them is not tested: it cannot be installed by package.
const fs = require("fs");
const vm = require("vm");

const zones = [];
const record = (type) => (label, ...rest) => {
  const ttl = rest.pop();
  if (typeof label !== "string" || typeof ttl.ttl !== "number") throw new Error(`${type} ${label}`);
  return { type, label, ttl: ttl.ttl, values: rest };
};
const providers = [];
const context = {
  NewRegistrar: (name) => ({ registrar: name }),
  NewDnsProvider: (name) => ({ provider: name }),
  DnsProvider: (provider) => providers.push(provider.provider),
  NO_PURGE: { no_purge: true },
  TTL: (ttl) => ({ ttl }),
  D: (zone, registrar, provider, no_purge, ...records) => {
    if (registrar.registrar !== "none" || !no_purge.no_purge) throw new Error(`D ${zone}`);
    zones.push({ zone, records });
  },
};
for (const type of ["A", "AAAA", "PTR", "MX", "TXT", "CNAME", "NS"]) context[type] = record(type);
vm.runInNewContext(fs.readFileSync(process.argv[2], "utf8"), context);

const lines = [];
for (const { zone, records } of zones) {
  for (const { type, label, ttl, values } of records) {
    const name = (label === "@" ? zone : `${label}.${zone}`) + ".";
    const text = type === "TXT" ? Buffer.from(values[0], "utf8").toString("hex") : null;
    lines.push({ name, type, ttl, text, value: values.join(" ") });
  }
}
console.log(JSON.stringify(lines));
