/** Writes the JSON file and the chart, into bench/results unless told otherwise. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { BenchEnvironment } from '../environment.ts';
import { type Figure, verdict } from '../figures.ts';
import { renderSvg } from './svg.ts';

/** One scenario as it ended. */
export interface ScenarioReport {
  readonly number: number;
  readonly title: string;
  readonly seconds: number;
  readonly figures: readonly Figure[];
  readonly notes: readonly string[];
  /** Why it could not be measured, if so. */
  readonly failure?: string;
}

export interface BenchReport {
  readonly environment: BenchEnvironment;
  readonly quick: boolean;
  readonly scenarios: readonly ScenarioReport[];
}

const DEFAULT_FOLDER = join(import.meta.dirname, '..', 'results');

/** Answers the paths that were written. */
export async function writeResults(
  report: BenchReport,
  paths: { readonly jsonPath: string | undefined; readonly svgPath: string | undefined },
): Promise<readonly string[]> {
  const { environment, scenarios } = report;
  const stem = join(DEFAULT_FOLDER, environment.date.replaceAll(':', '-').replace(/\.\d+Z$/, 'Z'));
  const jsonPath = paths.jsonPath ?? `${stem}.json`;
  const svgPath = paths.svgPath ?? `${stem}.svg`;
  const judged = scenarios.map((scenario) => ({
    ...scenario,
    figures: scenario.figures.map((figure) => ({
      ...figure,
      results: (figure.targets ?? []).map((target) => ({ ...target, result: verdict(figure, target) })),
    })),
  }));
  const caption = `${environment.date.slice(0, 10)} · ${environment.cpu} · Node ${environment.node} · ${environment.incumbent}`;
  const svg = renderSvg(
    scenarios.flatMap((scenario) => scenario.figures),
    `carepro-chat ${environment.project}${report.quick ? ', quick run' : ''}`,
    caption,
  );
  await write(jsonPath, `${JSON.stringify({ ...report, scenarios: judged }, undefined, 2)}\n`);
  await write(svgPath, svg);
  return [jsonPath, svgPath];
}

async function write(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}
