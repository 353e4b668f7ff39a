/** Options of `stead vm set` for tags, notes, autostart and protections. */
import type { Command } from 'commander'
import type { CallInput } from '@stead/api/endpoint.ts'
import type { ENDPOINTS } from '@stead/api/endpoints.ts'
import { PROTECTIONS } from '@stead/core/model/lifecycle.ts'
import { badArgument } from '../quantities.ts'

type SetBody = CallInput<(typeof ENDPOINTS)['guest.set']>['body']
type LifecycleBody = Pick<SetBody, 'autostart' | 'protectedFrom' | 'tags' | 'notes'>

/** Stands for an empty list, which a shell cannot show. */
const NOTHING = 'nothing'

export function addLifecycleOptions(command: Command): Command {
  return command
    .option('--autostart', 'of a guest that HA ignores: start it when its host has booted')
    .option('--no-autostart', 'leave it stopped then')
    .option('--protect <what>', `refuse to delete or stop it: delete, stop, delete,stop or ${NOTHING}`)
    .option('--tag <tags>', `words to find it by, separated by commas; all of them, or ${NOTHING}`)
    .option('--notes <text>', 'Markdown, 8192 characters at most')
}

export function lifecycleBody(options: Readonly<Record<string, unknown>>): LifecycleBody {
  const { autostart, protect, tag, notes } = options
  return {
    ...(typeof autostart === 'boolean' ? { autostart } : {}),
    ...(typeof protect === 'string' ? { protectedFrom: protectionsOf(protect) } : {}),
    ...(typeof tag === 'string' ? { tags: words(tag) } : {}),
    ...(typeof notes === 'string' ? { notes } : {}),
  }
}

export function words(text: string): string[] {
  if (text.trim() === NOTHING) return []
  return text.split(',').map((word) => word.trim())
}

function protectionsOf(text: string): NonNullable<LifecycleBody['protectedFrom']> {
  return words(text).map((word) => {
    const found = PROTECTIONS.find((one) => one === word)
    if (found) return found
    throw badArgument(`--protect: \`${word}\` is nothing to be protected from`, `Write delete, stop or ${NOTHING}.`)
  })
}
