import { useText } from '../i18n/texts.ts'
import type { FailingThing } from '@stead/api/foresight-view.ts'

/** What fails, in the words of the interface. */
export function useThingName(): (thing: FailingThing) => string {
  const t = useText()
  return (thing) => {
    switch (thing.kind) {
      case 'host-down':
        return t('whatIf.host', { name: thing.hosts.join(', ') })
      case 'storage-down':
        return t('whatIf.storage', { name: thing.host })
      case 'domain-down':
        return `${thing.domain} ${thing.name}`
      case 'network-down': {
        const network = thing.network.toUpperCase()
        return thing.host === undefined
          ? t('whatIf.switch', { network })
          : t('whatIf.cable', { network, name: thing.host })
      }
    }
  }
}
