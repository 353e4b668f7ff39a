/** The operations of all hosts, the newest first, at the foot of every page. */
import { useText, useLanguage } from '../i18n/texts.ts'
import { useState } from 'react'
import { useOperations } from '../live/use-live.ts'
import { clockText } from '../parts/figures.ts'
import { Icon } from '../parts/icon.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { OperationProgress } from '../activity/operation-progress.tsx'
import classes from './task-log.module.css'

const SHOWN = 60
const OPEN_KEY = 'stead.log'

export function TaskLog() {
  const t = useText()
  const language = useLanguage()
  const shown = useOperations().slice(0, SHOWN)
  const [isOpen, setOpen] = useState(() => localStorage.getItem(OPEN_KEY) === 'open')
  const running = shown.filter(({ state }) => state === 'running')
  const [newest] = shown
  const toggle = () => {
    localStorage.setItem(OPEN_KEY, isOpen ? 'closed' : 'open')
    setOpen(!isOpen)
  }
  return (
    <section className={classes.log} aria-label={t('log.title')}>
      <button type="button" className={classes.head} onClick={toggle} aria-expanded={isOpen}>
        <Icon name={isOpen ? 'down' : 'up'} size={16} />
        <span className={classes.title}>{t('log.title')}</span>
        {running.length > 0 ? (
          <span className={classes.running}>{t('log.running', { count: running.length })}</span>
        ) : null}
        {!isOpen && newest ? (
          <span className={classes.newest}>
            <StateBadge state={newest.state} /> {newest.kind} · {newest.subjectName}
            {newest.message === '' ? '' : ` · ${newest.message}`}
          </span>
        ) : null}
      </button>
      {isOpen ? (
        <div className={classes.body} tabIndex={0} role="region" aria-label={t('log.title')}>
          <table className={classes.table}>
            <thead>
              <tr>
                <th scope="col">{t('column.begun')}</th>
                <th scope="col">{t('column.operation')}</th>
                <th scope="col">{t('column.subject')}</th>
                <th scope="col">{t('column.state')}</th>
                <th scope="col">{t('column.message')}</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((operation) => (
                <tr key={operation.id}>
                  <td className={classes.time}>{clockText(operation.startedAt, language)}</td>
                  <td>{operation.kind}</td>
                  <td>{operation.subjectName}</td>
                  <td className={classes.state}>
                    <OperationProgress operation={operation} />
                  </td>
                  <td className={classes.message}>{operation.failure?.message ?? operation.message}</td>
                </tr>
              ))}
            </tbody>
          </table>
          {shown.length === 0 ? <p className={classes.none}>{t('log.none')}</p> : null}
        </div>
      ) : null}
    </section>
  )
}
