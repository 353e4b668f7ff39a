/** The folders of `scenarios/`: a cluster, what is done to it, and what happens then. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseClusterFile } from '@stead/api/cluster-file.ts'
import { differencesIn, type LogDifference } from '@stead/sim/scenario-comparison.ts'
import { playScenario, type ScenarioReport } from '@stead/sim/scenario-run.ts'
import { parseScenarioSteps } from '@stead/sim/scenario-steps.ts'
import { DevFailure } from './run-program.ts'

const SCENARIOS = join(import.meta.dirname, '..', 'scenarios')

export interface PlayedScenario extends ScenarioReport {
  readonly name: string
  /** The first line of its README, without the name. */
  readonly title: string
  /** It re-expresses one of the regression suite that the others are compared with. */
  readonly isCarried: boolean
  /** Against `expected.log`; undefined when they agree. */
  readonly differences: readonly LogDifference[] | undefined
}

export function scenarioNames(): readonly string[] {
  return readdirSync(SCENARIOS, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }))
}

/** Throws a `DevFailure` that names the file when the folder cannot be read. */
export async function playFolder(name: string, seed?: number): Promise<PlayedScenario> {
  const cluster = parseClusterFile(read(name, 'cluster.json'))
  if (!cluster.ok) throw new DevFailure(`scenarios/${name}/cluster.json: ${cluster.error.message}`)
  const steps = parseScenarioSteps(read(name, 'commands'))
  if (!steps.ok) throw new DevFailure(`scenarios/${name}/commands: ${steps.error.message}`)
  const report = await playScenario({ cluster: cluster.value, steps: steps.value }, seed)
  const expected = existsSync(join(SCENARIOS, name, 'expected.log')) ? read(name, 'expected.log') : ''
  const readme = read(name, 'README.md')
  const [heading = ''] = readme.split('\n')
  return {
    ...report,
    name,
    title: heading.replace(/^# [^:]*: /, ''),
    isCarried: /^\*\*Source\.\*\* the regression suite/m.test(readme),
    differences: differencesIn(expected.trimEnd().split('\n'), report.log),
  }
}

export function writeExpectedLog({ name, log }: PlayedScenario): void {
  writeFileSync(join(SCENARIOS, name, 'expected.log'), `${log.join('\n')}\n`)
}

function read(name: string, file: string): string {
  const path = join(SCENARIOS, name, file)
  if (!existsSync(path)) throw new DevFailure(`there is no scenarios/${name}/${file}`)
  return readFileSync(path, 'utf8')
}
