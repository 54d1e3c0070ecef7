// Prints the class of each text and its probability: node classify.js FOLDER DTYPE TEXT...
import { env, pipeline } from "@huggingface/transformers";

const [folder, dtype, ...texts] = process.argv.slice(2);
Object.assign(env, { allowRemoteModels: false, localModelPath: "." });
const classify = await pipeline("text-classification", folder, { dtype });
const answers = [];
for (const text of texts) answers.push(...(await classify(text)));
console.log(JSON.stringify(answers));
