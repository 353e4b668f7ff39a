/** The list of texts: one file an area and language, `<language>/<area>.ts`, English being what the others translate. */
import type { texts as activity } from './en/activity.ts'
import type { texts as administration } from './en/administration.ts'
import type { texts as availability } from './en/availability.ts'
import type { texts as certificate } from './en/certificate.ts'
import type { texts as delegation } from './en/delegation.ts'
import type { texts as foresight } from './en/foresight.ts'
import type { texts as consoles } from './en/consoles.ts'
import type { texts as create } from './en/create.ts'
import type { texts as frame } from './en/frame.ts'
import type { texts as guests } from './en/guests.ts'
import type { texts as hardware } from './en/hardware.ts'
import type { texts as hosts } from './en/hosts.ts'
import type { texts as inside } from './en/inside.ts'
import type { texts as metrics } from './en/metrics.ts'
import type { texts as networks } from './en/networks.ts'
import type { texts as options } from './en/options.ts'
import type { texts as realms } from './en/realms.ts'
import type { texts as session } from './en/session.ts'
import type { texts as setup } from './en/setup.ts'
import type { texts as storage } from './en/storage.ts'

export const LANGUAGES = ['en', 'fr', 'pl'] as const
export type Language = (typeof LANGUAGES)[number]

/** `frame` is there from the beginning, with the words of several areas; the others come with their pages. */
interface Areas {
  readonly activity: typeof activity
  readonly administration: typeof administration
  readonly availability: typeof availability
  readonly certificate: typeof certificate
  readonly delegation: typeof delegation
  readonly foresight: typeof foresight
  readonly consoles: typeof consoles
  readonly create: typeof create
  readonly frame: typeof frame
  readonly guests: typeof guests
  readonly hardware: typeof hardware
  readonly hosts: typeof hosts
  readonly inside: typeof inside
  readonly metrics: typeof metrics
  readonly networks: typeof networks
  readonly options: typeof options
  readonly realms: typeof realms
  readonly session: typeof session
  readonly setup: typeof setup
  readonly storage: typeof storage
}

export type Area = keyof Areas

/** Languages count in different ways (`_one`, `_few`, `_many`, `_other`); the text is asked for by the word before. */
type WithoutPlural<Key extends string> = Key extends `${infer Base}_${'one' | 'other'}` ? Base : Key
export type TextKey = { [A in Area]: WithoutPlural<keyof Areas[A] & string> }[Area]

export type Text = (key: TextKey, values?: Readonly<Record<string, string | number>>) => string
export type TextTable = Readonly<Record<string, string>>
