/** How the cluster stands by its policy: which losses it would bear, which rules are broken, how even it is. */
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { ClusterCheck } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useGuests, useLive } from '../live/use-live.ts'
import { Answered, useAsked } from '../parts/answered.tsx'
import { bytesText, durationText } from '../parts/figures.ts'
import { Icon } from '../parts/icon.tsx'
import { Facts, Panel, Panels } from '../parts/page.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { useStage } from '../foresight/use-single-failures.ts'
import classes from './protection-state.module.css'

export function ProtectionState() {
  const t = useText()
  const language = useLanguage()
  const cluster = useLive((state) => state.cluster)
  const waiting = useGuests().filter(({ state }) => state === 'waiting' || state === 'error')
  const check = useAsked(['cluster-check', useStage()], (client) => client.call(ENDPOINTS['cluster.check']))
  const policy = useAsked(['policy'], (client) => client.call(ENDPOINTS['policy.show']))
  return (
    <Panels>
      <Panel title={t('avail.decider')}>
        <Answered asked={policy}>
          {({ armed, shutdown }) => (
            <Facts
              items={[
                [t('avail.armed'), armed ? t('word.yes') : <Mark tone="bad" text={t('avail.disarmed')} />],
                [
                  t('host.coordinator'),
                  cluster?.coordinator ? (
                    <Link to="/hosts/$host" params={{ host: cluster.coordinator }}>
                      {cluster.coordinator}
                    </Link>
                  ) : (
                    '–'
                  ),
                ],
                cluster?.address
                  ? [
                      t('avail.address'),
                      cluster.address.holder
                        ? t('avail.addressAt', { address: cluster.address.address, host: cluster.address.holder })
                        : cluster.address.address,
                    ]
                  : undefined,
                cluster && [t('avail.detection'), durationText(cluster.detectionMs, language)],
                cluster && [t('avail.lease'), durationText(cluster.leaseTtlMs, language)],
                [t('avail.shutdown'), t(`avail.shutdown.${shutdown}`)],
                cluster && [
                  t('avail.secrets'),
                  t(`avail.secrets.${cluster.secrets.state}`, {
                    needed: cluster.secrets.sharesNeeded,
                    held: cluster.secrets.holders.length,
                    hosts: cluster.secrets.holders.join(', '),
                  }),
                ],
              ]}
            />
          )}
        </Answered>
        {cluster?.warnings.map((warning) => (
          <Mark key={warning} tone="warn" text={warning} />
        ))}
      </Panel>
      <Answered asked={check}>{(value) => <Checked check={value} />}</Answered>
      <Panel title={t('avail.waiting')}>
        {waiting.length === 0 ? <Mark tone="good" text={t('avail.nobodyWaits')} /> : null}
        <ul className={classes.list}>
          {waiting.map((guest) => (
            <li key={guest.id}>
              <Link to="/guests/$guest" params={{ guest: guest.name }}>
                {guest.name}
              </Link>{' '}
              <StateBadge state={guest.state} /> {guest.reason}
            </li>
          ))}
        </ul>
      </Panel>
      <Answered asked={check}>
        {({ balance }) => (
          <Panel title={t('avail.balance')}>
            <p className={classes.line}>
              {t(`avail.balance.${balance.mode}`)} {t('avail.score', { score: figure(balance.score, language) })}
            </p>
            {balance.moves.length === 0 ? <Mark tone="good" text={t('avail.noMoves')} /> : null}
            <ul className={classes.list}>
              {balance.moves.map((move) => (
                <li key={`${move.guest}/${move.to}`}>
                  <Link to="/guests/$guest" params={{ guest: move.guest }}>
                    {move.guest}
                  </Link>{' '}
                  {move.from} → {move.to}, {bytesText(move.bytes, language)}
                  <span className={classes.dim}> {move.why}</span>
                </li>
              ))}
            </ul>
          </Panel>
        )}
      </Answered>
    </Panels>
  )
}

function Checked({ check }: { check: ClusterCheck }) {
  const t = useText()
  const { admission, violations, contradictions } = check
  return (
    <Panel title={t('avail.bears')}>
      {check.ok ? <Mark tone="good" text={t('avail.ok', { count: admission.hostFailures })} /> : null}
      {admission.note === '' ? null : <p className={classes.line}>{admission.note}</p>}
      {admission.breaches.map((breach) => (
        <Mark key={breach.text} tone="bad" text={breach.text} />
      ))}
      {contradictions.map((text) => (
        <Mark key={text} tone="bad" text={text} />
      ))}
      {violations.map((violation) => (
        <Mark key={violation.guest} tone="warn" text={`${violation.guest} (${violation.host}): ${violation.why}`} />
      ))}
      {admission.checked < admission.possible ? (
        <p className={classes.dim}>
          {t('avail.checked', { checked: admission.checked, possible: admission.possible })}
        </p>
      ) : null}
    </Panel>
  )
}

function Mark({ tone, text }: { tone: 'good' | 'warn' | 'bad'; text: ReactNode }) {
  return (
    <p className={classes.mark} data-tone={tone}>
      <Icon name={tone === 'good' ? 'check' : 'warning'} size={16} />
      <span>{text}</span>
    </p>
  )
}

function figure(value: number, language: string): string {
  return new Intl.NumberFormat(language, { maximumFractionDigits: 2 }).format(value)
}
