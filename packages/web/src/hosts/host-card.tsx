/** A host as a card: its state, and how full it is. */
import { Link } from '@tanstack/react-router'
import type { HostView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { bytesText } from '../parts/figures.ts'
import { Icon } from '../parts/icon.tsx'
import { Meter } from '../parts/meter.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { poolTotals } from './host-figures.ts'
import classes from './hosts-page.module.css'

export function HostCard({ host }: { host: HostView }) {
  const t = useText()
  const language = useLanguage()
  const { capacityBytes, allocatedBytes } = poolTotals(host)
  const ofWhole = (part: number, whole: number) =>
    t('word.of', { part: bytesText(part, language), whole: bytesText(whole, language) })
  return (
    <article className={classes.card} data-state={host.state}>
      <div className={classes.head}>
        <Icon name={host.role === 'witness' ? 'shield' : 'host'} size={20} />
        <h2 className={classes.name}>
          <Link to="/hosts/$host" params={{ host: host.name }} className={classes.link}>
            {host.name}
          </Link>
        </h2>
        {host.coordinator ? (
          <span className={classes.crown} title={`${t('host.coordinator')}: ${t('host.coordinatorText')}`}>
            <Icon name="crown" size={16} />
          </span>
        ) : null}
        <StateBadge state={host.state} />
      </div>
      {host.reason === '' ? null : <p className={classes.reason}>{host.reason}</p>}
      {host.role === 'witness' ? (
        <p className={classes.reason}>{t('host.witnessText')}</p>
      ) : (
        <>
          <Meter
            label={t('column.memory')}
            part={host.memoryGrantedBytes}
            whole={host.memoryBytes}
            text={ofWhole(host.memoryGrantedBytes, host.memoryBytes)}
          />
          <Meter
            label={t('host.pools')}
            part={allocatedBytes}
            whole={capacityBytes}
            text={ofWhole(allocatedBytes, capacityBytes)}
          />
          <p className={classes.foot}>
            {t('host.cpus', { count: host.cpuCount })} · {t('guests.count', { count: host.guests.length })}
          </p>
        </>
      )}
    </article>
  )
}
