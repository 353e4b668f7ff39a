import { useLanguage, useText } from '../i18n/texts.ts'
import { latencyText, percentText, speedText } from '../parts/figures.ts'
import type { Finding } from './network-judgement.ts'

export function useFindingText(): (finding: Finding) => string {
  const t = useText()
  const language = useLanguage()
  return (finding) => {
    switch (finding.kind) {
      case 'mtu':
        return t('networks.finding.mtu', {
          sizes: finding.sizes.map(([bytes, hosts]) => `${bytes}: ${hosts.join(', ')}`).join('; '),
        })
      case 'lossy':
        return t('networks.finding.lossy', {
          ...{ host: finding.host, name: finding.name },
          share: percentText(finding.lostShare, 1, language),
        })
      case 'late':
        return t('networks.finding.late', {
          ...{ host: finding.host, name: finding.name },
          time: latencyText(finding.latencyMs, language),
        })
      case 'slow':
        return t('networks.finding.slow', {
          host: finding.host,
          speed: speedText(finding.speedBitsPerSecond, language),
        })
      default:
        return t(`networks.finding.${finding.kind}`, { host: finding.host, name: finding.name })
    }
  }
}
