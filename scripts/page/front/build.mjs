// Make built/ from source/ and node_modules: the bundle, its licences and a bill of what is inside, all by `npm run build`.

import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const OUT = "built";
const read = (path) => readFileSync(path, "utf8");
const hash = (path) => createHash("sha256").update(readFileSync(path)).digest("hex");
const order = (a, b) => (a < b ? -1 : 1);

rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT);
const { metafile } = await build({
  entryPoints: ["source/start.js", "source/viewer.js"],
  outdir: OUT,
  bundle: true,
  external: ["./viewer.js"],
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none", // LICENCES.txt has them
  metafile: true,
});
for (const name of ["index.html", "style.css"]) copyFileSync(join("source", name), join(OUT, name));

const inputs = Object.values(metafile.outputs).flatMap((output) => Object.keys(output.inputs));
const folders = inputs.map((path) => path.match(/^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0]).filter(Boolean);
const locked = JSON.parse(read("package-lock.json")).packages;
const packages = [...new Set(folders)].sort(order).map((folder) => {
  const { name, version, license } = JSON.parse(read(join(folder, "package.json")));
  const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each)); // else its README has the licence
  const [kind, mark] = locked[folder].integrity.split("-");
  return { name, version, license, file, folder, hash: [kind, Buffer.from(mark, "base64").toString("hex")] };
});
const texts = packages.map(({ name, version, license, folder, file }) => {
  const told = read(join(folder, file ?? "README.md")).trim();
  const text = file ? told : told.slice(told.search(/^licen[cs]e/im));
  return `${name} ${version} (${license})\n\n${text}\n`;
});
writeFileSync(join(OUT, "LICENCES.txt"), texts.join(`\n${"-".repeat(80)}\n\n`));

const files = readdirSync(OUT).sort(order).map((name) => ({
  type: "file", name, "bom-ref": name, hashes: [{ alg: "SHA-256", content: hash(join(OUT, name)) }],
}));
const libraries = packages.map(({ name, version, license, hash: [kind, content] }) => ({
  type: "library", name, version, "bom-ref": `${name}@${version}`,
  purl: `pkg:npm/${name.replace("@", "%40")}@${version}`,
  licenses: [/[ (]/.test(license) ? { expression: license } : { license: { id: license } }],
  hashes: [{ alg: kind.replace("sha", "SHA-"), content }],
}));
const { name, version } = JSON.parse(read("package.json"));
const bill = {
  bomFormat: "CycloneDX", specVersion: "1.6", version: 1,
  metadata: { component: { type: "application", name, version, "bom-ref": name } },
  components: [...files, ...libraries],
};
writeFileSync(join(OUT, "sbom.json"), `${JSON.stringify(bill, null, 1)}\n`);
