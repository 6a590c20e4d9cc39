// aimock, which speaks as several hosts do, until the standard input closes. LLMMW_AIMOCK is the
// folder that npm installed it in.

import path from "node:path";
import { pathToFileURL } from "node:url";

const name = path.join(process.env.LLMMW_AIMOCK, "node_modules/@copilotkit/aimock/dist/index.js");
const { LLMock } = await import(pathToFileURL(name));
const mock = new LLMock({ host: "127.0.0.1", port: 0, chunkSize: 5, logLevel: "silent" });
await mock.start();
console.log(mock.url);
process.stdin.resume();
process.stdin.on("end", () => process.exit(0)); // its own end would wait for open connections
