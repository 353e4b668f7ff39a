/** One volume and its replicas. */
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import type { VolumeView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { ageText, bytesText } from '../parts/figures.ts'
import { Panel } from '../parts/page.tsx'
import { ProtectionBadge, ReplicaBadge } from '../parts/state-badge.tsx'
import { useNow } from '../parts/use-now.ts'
import classes from './volume-panel.module.css'

export function VolumePanel(props: { volume: VolumeView; title: string; actions?: ReactNode }) {
  const { volume, title, actions } = props
  const t = useText()
  const language = useLanguage()
  const now = useNow()
  return (
    <Panel title={title} aside={<ProtectionBadge protection={volume.protection} />}>
      <p className={classes.size}>
        {bytesText(volume.sizeBytes, language)}
        {volume.protection.reason === '' ? '' : ` · ${volume.protection.reason}`}
      </p>
      {volume.move ? <p className={classes.size}>{volume.move.message}</p> : null}
      <ul className={classes.replicas}>
        {volume.replicas.map((replica) => (
          <li key={`${replica.host}/${replica.pool}`} className={classes.replica}>
            <Link to="/hosts/$host" params={{ host: replica.host }} className={classes.host}>
              {replica.host}
            </Link>
            <span className={classes.pool}>{replica.pool}</span>
            <ReplicaBadge state={replica.state} />
            <span className={classes.reason}>
              {[
                replica.lagBytes === null || replica.lagBytes === 0
                  ? ''
                  : t('replica.lag', { size: bytesText(replica.lagBytes, language) }),
                replica.since === null ? '' : ageText(Date.parse(replica.since), now, language),
                replica.reason,
                replica.redirected === undefined ? '' : t('replica.redirected', { network: replica.redirected }),
              ]
                .filter(Boolean)
                .join(' · ')}
            </span>
          </li>
        ))}
      </ul>
      {actions}
    </Panel>
  )
}
