/** `stead template key`: whose signatures of templates the cluster trusts. They are part of its policy. */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { failure, FailureError } from '@stead/core/errors.ts'
import { formatTable } from '../output.ts'
import { badArgument } from '../quantities.ts'
import { action, valueOf, type Session, type Terminal } from '../session.ts'

type Keys = Readonly<Record<string, string>>

export function addTemplateKeys(template: Command, terminal: Terminal): void {
  const key = template.command('key').description('Keys whose signatures of templates are trusted')
  key
    .command('list')
    .description('List them')
    .action(
      action(terminal, async (session) => {
        const client = await session.client()
        const { templateKeys = {} } = valueOf(await client.call(ENDPOINTS['policy.show']))
        const rows = Object.entries(templateKeys).map(([name, value]) => ({ name, key: value }))
        session.print(rows, () =>
          formatTable(rows, [
            { title: 'NAME', of: (row) => row.name },
            { title: 'KEY', of: (row) => row.key },
          ]),
        )
      }),
    )
  key
    .command('add')
    .description('Trust one')
    .argument('<name>', 'by which it is called here')
    .argument('<file>', 'its public part, as in ~/.ssh/id_ed25519.pub')
    .action(
      action(terminal, async (session, [name = '', file = '']) => {
        const value = await publicKey(file)
        await change(session, `the key ${name} is trusted`, (keys) => {
          if (keys[name] !== undefined && keys[name] !== value)
            throw taken(`Another key is called ${name} already`, 'Choose another name, or remove that key first')
          return { ...keys, [name]: value }
        })
      }),
    )
  key
    .command('remove')
    .description('Trust it no more; templates that it has signed stay')
    .argument('<name>', 'as `template key list` shows it')
    .action(
      action(terminal, (session, [name = '']) =>
        change(session, `the key ${name} is trusted no more`, ({ [name]: removed, ...others }) => {
          if (removed !== undefined) return others
          throw new FailureError(
            failure('not_found', `There is no key ${name}`, { hint: 'See `stead template key list`' }),
          )
        }),
      ),
    )
}

/** On what was seen: of two who change it at a time the second is told so. */
async function change(session: Session, done: string, next: (keys: Keys) => Keys): Promise<void> {
  const client = await session.client()
  const { revision, templateKeys = {} } = valueOf(await client.call(ENDPOINTS['policy.show']))
  const body = { templateKeys: next(templateKeys) }
  const view = valueOf(await client.call(ENDPOINTS['policy.set'], { body }, { ifMatch: revision }))
  session.print(view.templateKeys ?? {}, () => `${done}\n`)
}

async function publicKey(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new FailureError(failure('bad_request', `${file} cannot be read`, { cause }))
  })
  const found = /^(ssh-ed25519) ([A-Za-z0-9+/]{68})(\s|$)/.exec(text)
  if (found) return `${found[1]} ${found[2]}`
  throw badArgument(
    `${file} is no public Ed25519 key`,
    'Make a pair by `ssh-keygen -t ed25519`, and give its .pub file.',
  )
}

function taken(message: string, hint: string): FailureError {
  return new FailureError(failure('name_taken', message, { hint }))
}
