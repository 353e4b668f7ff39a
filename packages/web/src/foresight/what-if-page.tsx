/** "What if this fails?" for everything that can: on a map, or as a table. */
import { Button, MultiSelect, SegmentedControl } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { FailingThing } from '@stead/api/foresight-view.ts'
import type { HostView } from '@stead/api/views.ts'
import { useText } from '../i18n/texts.ts'
import { useGuests, useHosts, useLive } from '../live/use-live.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Empty, Page, PageHead } from '../parts/page.tsx'
import { saveText } from '../parts/save-file.ts'
import { showFailure } from '../parts/toasts.tsx'
import { useSession } from '../session/session-context.ts'
import { ClusterMap } from './cluster-map.tsx'
import { addressOf, thingAt } from './failing-thing.ts'
import { FailuresTable } from './failures-table.tsx'
import { Outcome, OutcomePending } from './outcome-panel.tsx'
import { useThingName } from './thing-name.ts'
import { useStage } from './use-single-failures.ts'
import classes from './what-if-page.module.css'

const VIEWS = ['map', 'table'] as const

export function WhatIfPage() {
  const t = useText()
  const navigate = useNavigate()
  const { what } = useSearch({ from: '/what-if' })
  const hosts = useHosts()
  const guests = useGuests()
  const isKnown = useLive((state) => state.isKnown)
  const [view, setView] = useState<(typeof VIEWS)[number]>('map')
  const thing = useMemo(() => thingAt(what), [what])
  const outcome = useOutcome(thing)
  const choose = (next: FailingThing | undefined) => {
    const isAgain = next !== undefined && thing !== undefined && addressOf(next) === addressOf(thing)
    void navigate({ to: '/what-if', search: next && !isAgain ? { what: addressOf(next) } : {}, replace: true })
  }
  const answer = thing && outcome.data
  const foreseen = answer?.ok ? answer.value : undefined

  return (
    <Page>
      <PageHead
        icon="map"
        title={t('nav.whatIf')}
        actions={
          <>
            <ExportButton />
            <SeveralHosts hosts={hosts} thing={thing} onChoose={choose} />
            <SegmentedControl
              value={view}
              onChange={(value) => setView(value as typeof view)}
              data={VIEWS.map((value) => ({ value, label: t(`whatIf.view.${value}`) }))}
              aria-label={t('whatIf.view')}
            />
          </>
        }
      />
      {isKnown ? (
        <div className={classes.columns}>
          {view === 'map' ? (
            <section className={classes.map} aria-label={t('whatIf.map')}>
              <ClusterMap
                {...{ hosts, guests }}
                chosen={thing}
                outcome={outcome.isPlaceholderData ? undefined : foreseen}
                onChoose={choose}
              />
            </section>
          ) : (
            <FailuresTable hosts={hosts} chosen={thing} onChoose={choose} />
          )}
          <section className={classes.outcome} aria-label={t('foresight.title')}>
            {thing ? (
              <>
                <Chosen thing={thing} onForget={() => choose(undefined)} />
                {!answer ? <OutcomePending /> : null}
                {answer && !answer.ok ? <FailureAlert failure={answer.error} /> : null}
                {foreseen ? <Outcome view={foreseen} isOld={outcome.isPlaceholderData} /> : null}
              </>
            ) : (
              <Empty icon="map" title={t('whatIf.choose')} text={t('whatIf.chooseText')} />
            )}
          </section>
        </div>
      ) : (
        <LoadingRows />
      )}
    </Page>
  )
}

/** For the same questions elsewhere, without the cluster: `stead what-if --file`. */
function ExportButton() {
  const t = useText()
  const { client } = useSession()
  const save = async () => {
    const file = await client.call(ENDPOINTS['cluster.export'])
    if (file.ok) saveText('cluster.json', `${JSON.stringify(file.value, null, 2)}\n`, 'application/json')
    else showFailure(file.error)
  }
  return (
    <Button variant="default" onClick={() => void save()}>
      {t('whatIf.export')}
    </Button>
  )
}

function useOutcome(thing: FailingThing | undefined) {
  const { client } = useSession()
  return useQuery({
    queryKey: ['what-if', thing && addressOf(thing), useStage()],
    enabled: thing !== undefined,
    queryFn: () => client.call(ENDPOINTS['foresight.ask'], { body: { suppose: thing as FailingThing } }),
    placeholderData: (before) => before,
  })
}

function Chosen({ thing, onForget }: { thing: FailingThing; onForget: () => void }) {
  const t = useText()
  const nameOf = useThingName()
  return (
    <div className={classes.chosen}>
      <h2 className={classes.chosenName}>{t('whatIf.fails', { name: nameOf(thing) })}</h2>
      <Button size="compact-sm" variant="default" onClick={onForget}>
        {t('whatIf.forget')}
      </Button>
    </div>
  )
}

/** The map chooses one thing; hosts also fail together. */
function SeveralHosts(props: {
  hosts: readonly HostView[]
  thing: FailingThing | undefined
  onChoose: (thing: FailingThing | undefined) => void
}) {
  const t = useText()
  const chosen = props.thing?.kind === 'host-down' ? props.thing.hosts : []
  return (
    <MultiSelect
      className={classes.several}
      aria-label={t('whatIf.several')}
      searchable
      placeholder={chosen.length === 0 ? t('whatIf.several') : ''}
      data={props.hosts.map(({ name }) => name)}
      value={chosen}
      onChange={(hosts) => props.onChoose(hosts.length === 0 ? undefined : { kind: 'host-down', hosts })}
    />
  )
}
