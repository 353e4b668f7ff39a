/** All volumes with their replicas, and the pools that they lie in. */
import { Link } from '@tanstack/react-router'
import { lazy, Suspense, useMemo, useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { VolumeView } from '@stead/api/views.ts'
import { useLanguage, useText, withTexts } from '../i18n/texts.ts'
import { useHosts, useLive, useVolumes } from '../live/use-live.ts'
import { bytesText } from '../parts/figures.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { FilterField } from '../parts/filter-field.tsx'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Meter } from '../parts/meter.tsx'
import { Empty, Page, PageHead } from '../parts/page.tsx'
import { RefusableButton } from '../parts/refusable-button.tsx'
import { ProtectionBadge, StateDot } from '../parts/state-badge.tsx'
import { DataTable, type TableColumn } from '../table/data-table.tsx'
import { filtered } from '../table/row-order.ts'
import classes from './volumes-page.module.css'

const REPLICA_TONES = { 'in-sync': 'good', syncing: 'busy', stale: 'warn' } as const

const StorageLoad = lazy(
  withTexts(['metrics'], async () => ({ default: (await import('../metrics/storage-load.tsx')).StorageLoad })),
)

export function VolumesPage() {
  const t = useText()
  const language = useLanguage()
  const volumes = useVolumes()
  const hosts = useHosts()
  const isKnown = useLive((state) => state.isKnown)
  const [deleted, setDeleted] = useState<VolumeView>()
  const columns = useColumns(setDeleted)
  const [query, setQuery] = useState('')
  const rows = useMemo(() => filtered(volumes, query, textOf), [volumes, query])
  if (!isKnown) {
    return (
      <Page>
        <LoadingRows />
      </Page>
    )
  }
  return (
    <Page>
      <PageHead icon="volume" title={t('nav.volumes')} />
      <section className={classes.pools} aria-label={t('host.pools')}>
        {hosts.flatMap((host) =>
          host.pools.map((pool) => (
            <div key={`${host.name}/${pool.name}`} className={classes.pool}>
              <Meter
                label={`${host.name} · ${pool.name}`}
                part={pool.allocatedBytes}
                whole={pool.capacityBytes}
                text={t('word.of', {
                  part: bytesText(pool.allocatedBytes, language),
                  whole: bytesText(pool.capacityBytes, language),
                })}
              />
            </div>
          )),
        )}
      </section>
      <Suspense fallback={<LoadingRows />}>
        <StorageLoad />
      </Suspense>
      <FilterField label={t('volumes.filter')} value={query} onChange={setQuery} />
      <DataTable
        label={t('nav.volumes')}
        rows={rows}
        idOf={(volume) => volume.id}
        columns={columns}
        empty={<Empty icon="volume" title={t(volumes.length === 0 ? 'volumes.none' : 'guests.noneFound')} />}
      />
      {deleted ? (
        <ChangeDialog
          title={t('volumes.askDelete', { name: deleted.name, guest: deleted.guest })}
          confirm={t('volumes.delete')}
          foreseen={[deleted.id]}
          danger={{ text: t('volumes.deleteText'), name: deleted.name }}
          call={(client) => client.call(ENDPOINTS['volume.delete'], { params: { volume: deleted.id } })}
          onClose={() => setDeleted(undefined)}
        />
      ) : null}
    </Page>
  )
}

function textOf(volume: VolumeView): string {
  const replicas = volume.replicas.map(({ host, pool, state }) => `${host} ${pool} ${state}`)
  return [volume.guest, volume.name, volume.id, volume.protection.level, ...replicas].join(' ')
}

function useColumns(onDelete: (volume: VolumeView) => void): readonly TableColumn<VolumeView>[] {
  const t = useText()
  const language = useLanguage()
  return useMemo(
    () => [
      {
        id: 'name',
        title: t('word.name'),
        width: 'minmax(140px, 1.4fr)',
        value: ({ guest, name }) => `${guest}/${name}`,
        cell: ({ guest, name }) => (
          <>
            <Link to="/guests/$guest" params={{ guest }} className={classes.guest}>
              {guest}
            </Link>
            {` / ${name}`}
          </>
        ),
      },
      {
        id: 'protection',
        title: t('column.protection'),
        width: 'minmax(110px, 1fr)',
        value: ({ protection }) => protection.level,
        cell: ({ protection }) => <ProtectionBadge protection={protection} />,
      },
      {
        id: 'size',
        title: t('column.size'),
        width: '90px',
        align: 'end',
        value: ({ sizeBytes }) => sizeBytes,
        cell: ({ sizeBytes }) => bytesText(sizeBytes, language),
      },
      {
        id: 'replicas',
        title: t('guest.replicas'),
        width: 'minmax(160px, 2fr)',
        wideOnly: true,
        value: ({ replicas }) => replicas.map(({ host }) => host).join(' '),
        cell: ({ replicas }) => (
          <span className={classes.replicas}>
            {replicas.map((replica) => (
              <span
                key={`${replica.host}/${replica.pool}`}
                className={classes.replica}
                title={[t(`replica.${replica.state}`), replica.reason].filter(Boolean).join(': ')}
              >
                <StateDot tone={REPLICA_TONES[replica.state]} />
                {replica.host}
                {replica.lagBytes === null || replica.lagBytes === 0
                  ? ''
                  : ` (${t('replica.lag', { size: bytesText(replica.lagBytes, language) })})`}
              </span>
            ))}
          </span>
        ),
      },
      {
        id: 'delete',
        title: t('volumes.actions'),
        width: '110px',
        value: ({ attachment }) => attachment,
        cell: (volume) => (
          <RefusableButton
            size="compact-xs"
            variant="default"
            obstacle={volume.attachment === 'detached' ? undefined : 'volumes.ofGuest'}
            aria-label={t('volumes.deleteOne', { name: volume.name, guest: volume.guest })}
            onClick={() => onDelete(volume)}
          >
            {t('volumes.delete')}
          </RefusableButton>
        ),
      },
    ],
    [t, language, onDelete],
  )
}
