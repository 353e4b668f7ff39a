/** The pages that stand in the navigation, in its order. */
import type { TextKey } from '../i18n/language.ts'
import type { IconName } from '../parts/icon.tsx'

export const NAV_PAGES = [
  { to: '/', text: 'nav.overview', icon: 'overview' },
  { to: '/guests', text: 'nav.guests', icon: 'vm' },
  { to: '/hosts', text: 'nav.hosts', icon: 'host' },
  { to: '/volumes', text: 'nav.volumes', icon: 'volume' },
  { to: '/networks', text: 'nav.networks', icon: 'network' },
  { to: '/availability', text: 'nav.availability', icon: 'shield' },
  { to: '/what-if', text: 'nav.whatIf', icon: 'map' },
  { to: '/operations', text: 'nav.operations', icon: 'operation' },
  { to: '/events', text: 'nav.events', icon: 'event' },
  { to: '/administration', text: 'nav.administration', icon: 'key' },
] as const satisfies readonly { readonly to: string; readonly text: TextKey; readonly icon: IconName }[]
