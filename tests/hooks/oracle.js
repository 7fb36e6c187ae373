// Ajv and JSON-e from npm, as Taskcluster's hooks service calls them. One line of JSON per question, one per answer.
const { createRequire } = require("node:module");
const modules = createRequire(process.env.PULSEKIT_NODE_MODULES + "/");
const Ajv = modules("ajv").default;
const addFormats = modules("ajv-formats").default;
const jsone = modules("json-e");

const RealDate = Date;
const quiet = { log() {}, warn() {}, error() {} };

// services/hooks/src/trigger-schema.js, which makes an instance for each message: no question has an $id
const ajv = new Ajv({ validateFormats: true, verbose: true, allErrors: true, logger: quiet });
addFormats(ajv);

function verdicts({ schema, payloads }) {
  const validate = ajv.compile(schema);
  return payloads.map((payload) => validate(payload));
}

// services/hooks/src/taskcreator.js
function render({ template, context, now }) {
  global.Date = class extends RealDate {
    constructor(...time) {
      super(...(time.length ? time : [now]));
    }
  };
  const value = jsone(template, { ...context, now: new Date(now) });
  return value === undefined ? null : value;
}

const answer = (ask, question) => {
  try {
    return { value: ask(question) };
  } catch (error) {
    return { error: String(error) };
  }
};

let text = "";
process.stdin.on("data", (data) => (text += data));
process.stdin.on("end", () => {
  for (const line of text.split("\n").filter(Boolean)) {
    const question = JSON.parse(line);
    process.stdout.write(JSON.stringify(answer("schema" in question ? verdicts : render, question)) + "\n");
  }
});
