/** `stead apply`, `diff` and `export`: a cluster as a file says that it is to be. */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import type { Client } from '@stead/api/client.ts'
import { readDeclaredCluster, type DeclaredCluster } from '@stead/api/declared/declared-cluster.ts'
import {
  planDeclared,
  type DeclaredCall,
  type DeclaredPlan,
  type DeclaredStep,
} from '@stead/api/declared/declared-plan.ts'
import { exportedCluster, presentCluster, type PresentCluster } from '@stead/api/declared/present-cluster.ts'
import type { Endpoint } from '@stead/api/endpoint.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { OperationView } from '@stead/api/views.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import { toYaml } from '../output.ts'
import { Prompts } from '../prompts.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'
import { settle } from '../waiting.ts'
import { yamlFile } from '../yaml-file.ts'

/** Disks are made, filled and copied. */
const PATIENCE_MS = 600_000

export function addDeclareCommands(program: Command, terminal: Terminal): void {
  program
    .command('apply')
    .description('Make the cluster as a file says: shows what is to be done, asks, and does it')
    .requiredOption('-f, --file <file>', 'YAML, as `stead export` prints it; `-` reads standard input')
    .option('--prune', 'delete what is there and not in the file, of the kinds that it tells of')
    .option('-y, --yes', 'do not ask')
    .action(action(terminal, apply))
  program
    .command('diff')
    .description('Show what `apply` would do, and do nothing')
    .requiredOption('-f, --file <file>', 'YAML, as `stead export` prints it; `-` reads standard input')
    .option('--prune', 'as if what is not in the file were to be deleted')
    .action(
      action(terminal, async (session, _args, options) => {
        const { plan } = await planned(session, options)
        session.print(plan, () => planText(plan))
      }),
    )
  program
    .command('export')
    .description('Print the cluster as a file that `apply` takes')
    .action(
      action(terminal, async (session) => {
        const file = exportedCluster(await lookUp(await session.client()))
        session.print(file, () => toYaml(file))
      }),
    )
}

async function apply(session: Session, _args: readonly string[], options: Record<string, unknown>): Promise<void> {
  const { plan, client } = await planned(session, options)
  const isForeseen = options['whatIf'] === true
  if (isForeseen || plan.steps.length === 0) {
    session.print(plan, () => planText(plan))
    if (!isForeseen) refuseObstacles(plan)
    return
  }
  session.note(planText(plan).trimEnd())
  refuseObstacles(plan)
  if (options['yes'] !== true) await agreed(session, plan)
  const begun: OperationView[] = []
  for (const step of plan.steps) {
    for (const call of step.calls) begun.push(...operationsOf(await performed(client, step, call)))
    session.note(`${DONE[step.what]} ${wordsFor(step)}`)
  }
  for (const operation of begun) await settle(session, client, operation, PATIENCE_MS)
  session.print(plan, () => `${plan.steps.length} done\n`)
}

async function planned(session: Session, options: Record<string, unknown>) {
  const declared: DeclaredCluster = valueOf(readDeclaredCluster(await documentOf(session, String(options['file']))))
  const client = await session.client()
  const plan = planDeclared(declared, await lookUp(client), { prune: options['prune'] === true })
  return { plan, client }
}

async function documentOf(session: Session, path: string): Promise<unknown> {
  if (path !== '-') return valueOf(await yamlFile(await readFile(path, 'utf8').catch(unreadable), path))
  let text = ''
  for await (const part of session.terminal.stdin ?? []) text += String(part)
  return valueOf(await yamlFile(text, 'standard input'))
}

function unreadable(cause: Error): never {
  throw new FailureError(failure('bad_request', `The file cannot be read: ${cause.message}`, { cause }))
}

async function lookUp(client: Client): Promise<PresentCluster> {
  return presentCluster({
    policy: valueOf(await client.call(ENDPOINTS['policy.show'])),
    certificate: valueOf(await client.call(ENDPOINTS['certificate.show'])),
    hosts: valueOf(await client.call(ENDPOINTS['host.list'])).items,
    projects: valueOf(await client.call(ENDPOINTS['project.list'])).items,
    roles: valueOf(await client.call(ENDPOINTS['role.list'])).items,
    users: valueOf(await client.call(ENDPOINTS['user.list'])).items,
    groups: valueOf(await client.call(ENDPOINTS['group.list'])).items,
    permissions: valueOf(await client.call(ENDPOINTS['permission.list'])).items,
    guests: valueOf(await client.call(ENDPOINTS['guest.list'])).items,
    rules: valueOf(await client.call(ENDPOINTS['rule.list'])).items,
  })
}

function refuseObstacles({ obstacles }: DeclaredPlan): void {
  const [first] = obstacles
  if (!first) return
  const more = obstacles.length === 1 ? '' : `; and ${obstacles.length - 1} more`
  throw new FailureError(
    failure('conflict', `${wordsFor(first)}: ${first.why}${more}`, {
      hint: 'Nothing was changed. Make the file agree with what is there, or change that by hand first',
    }),
  )
}

async function agreed(session: Session, { steps }: DeclaredPlan): Promise<void> {
  const prompts = new Prompts(session.terminal)
  const deletions = steps.filter(({ what }) => what === 'delete').length
  const word = deletions > 0 ? `delete ${deletions}` : 'yes'
  try {
    const answer = await prompts.ask(`Type \`${word}\` to do this: `)
    if (answer.trim() !== word) throw new FailureError(failure('bad_request', 'Not agreed; nothing was changed'))
  } finally {
    prompts.close()
  }
}

async function performed(client: Client, { kind, name }: DeclaredStep, call: DeclaredCall): Promise<unknown> {
  const { endpoint, params, body, ifMatch } = call
  const answer = await client.call(
    ENDPOINTS[endpoint] as Endpoint,
    { ...(params ? { params } : {}), ...(body ? { body } : {}) } as never,
    ifMatch === undefined ? {} : { ifMatch },
  )
  if (answer.ok) return answer.value
  const { code, message, hint, cause } = answer.error
  throw new FailureError(
    failure(code, `${kind} ${name}: ${message}`, {
      hint: hint ?? 'What was done before stays; `stead apply` again goes on from there',
      cause,
    }),
  )
}

function operationsOf(answer: unknown): OperationView[] {
  const { operation } = (answer ?? {}) as { readonly operation?: OperationView }
  return operation ? [operation] : []
}

const SIGNS = { create: '+', change: '~', delete: '-' } as const
const DONE = { create: 'created', change: 'changed', delete: 'deleted' } as const

function planText({ steps, obstacles, unlisted }: DeclaredPlan): string {
  const deletes = steps.some(({ what }) => what === 'delete')
  const lines = [
    ...steps.flatMap((step) => [
      `${SIGNS[step.what]} ${wordsFor(step)}`,
      ...step.differences.map(
        ({ path, present, wanted }) => `    ${path.join('.')}: ${shown(present)} -> ${shown(wanted)}`,
      ),
    ]),
    ...obstacles.map(({ kind, name, why }) => `! ${wordsFor({ kind, name })}: ${why}`),
    ...(unlisted.length === 0 || deletes ? [] : [`${unlisted.length} not in the file stay; --prune would delete them`]),
  ]
  return `${lines.length === 0 ? 'The cluster is as the file says' : lines.join('\n')}\n`
}

function wordsFor({ kind, name }: Pick<DeclaredStep, 'kind' | 'name'>): string {
  if (kind === 'policy' || kind === 'certificate') return `the ${kind}`
  return `${kind.slice(0, -1)} ${name}`
}

function shown(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value)
}
