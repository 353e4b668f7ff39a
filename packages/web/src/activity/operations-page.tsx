/** Everything that was asked of the cluster, and how it ended. */
import { useMemo } from 'react'
import type { OperationView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useOperations } from '../live/use-live.ts'
import { durationText, momentText } from '../parts/figures.ts'
import { Empty, Page, PageHead } from '../parts/page.tsx'
import { DataTable, type TableColumn } from '../table/data-table.tsx'
import classes from './operations-page.module.css'
import { CallOffButton } from './call-off-button.tsx'
import { OperationProgress } from './operation-progress.tsx'

export function OperationsPage() {
  const t = useText()
  const language = useLanguage()
  const operations = useOperations()
  const columns = useMemo(
    (): readonly TableColumn<OperationView>[] => [
      {
        id: 'begun',
        title: t('column.begun'),
        width: 'minmax(190px, 1fr)',
        wideOnly: true,
        value: ({ startedAt }) => startedAt,
        cell: ({ startedAt }) => momentText(startedAt, language),
      },
      {
        id: 'kind',
        title: t('column.operation'),
        width: 'minmax(100px, 1.2fr)',
        value: ({ kind }) => kind,
        cell: ({ kind }) => kind,
      },
      {
        id: 'subject',
        title: t('column.subject'),
        width: 'minmax(90px, .8fr)',
        value: ({ subjectName }) => subjectName,
        cell: ({ subjectName }) => subjectName,
      },
      {
        id: 'state',
        title: t('column.state'),
        width: 'minmax(150px, 1fr)',
        value: ({ state }) => state,
        cell: (operation) => (
          <span className={classes.state}>
            <OperationProgress operation={operation} />
            <CallOffButton operation={operation} />
          </span>
        ),
      },
      {
        id: 'took',
        title: t('column.took'),
        width: '80px',
        align: 'end',
        wideOnly: true,
        value: ({ startedAt, finishedAt }) => (finishedAt ?? startedAt) - startedAt,
        cell: ({ startedAt, finishedAt }) =>
          finishedAt === undefined ? '–' : durationText(finishedAt - startedAt, language),
      },
      {
        id: 'message',
        title: t('column.message'),
        width: 'minmax(120px, 2.4fr)',
        wideOnly: true,
        value: ({ message }) => message,
        cell: ({ message, failure }) => (
          <span title={failure?.hint ?? failure?.message ?? message}>{failure?.message ?? message}</span>
        ),
      },
    ],
    [t, language],
  )
  return (
    <Page fills>
      <PageHead icon="operation" title={t('nav.operations')} />
      <DataTable
        label={t('nav.operations')}
        rows={operations}
        idOf={({ id }) => id}
        columns={columns}
        empty={<Empty icon="operation" title={t('log.none')} text={t('operations.noneText')} />}
      />
    </Page>
  )
}
