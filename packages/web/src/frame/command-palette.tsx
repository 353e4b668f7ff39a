/** One field that finds everything, with Ctrl+K or `/` from anywhere. */
import { Modal } from '@mantine/core'
import { useNavigate } from '@tanstack/react-router'
import { useMemo, useState, type KeyboardEvent } from 'react'
import { useText } from '../i18n/texts.ts'
import { useGuests, useHosts, useVolumes } from '../live/use-live.ts'
import { Icon, type IconName } from '../parts/icon.tsx'
import { StateDot, toneOf } from '../parts/state-badge.tsx'
import classes from './command-palette.module.css'
import { NAV_PAGES } from './nav-pages.ts'
import { findables, search, type Found } from './palette-search.ts'

const LIST_ID = 'palette-list'

export function CommandPalette({ onClose }: { onClose: () => void }) {
  const t = useText()
  const navigate = useNavigate()
  const guests = useGuests()
  const hosts = useHosts()
  const volumes = useVolumes()
  const [query, setQuery] = useState('')
  const [at, setAt] = useState(0)
  const all = useMemo(
    () =>
      findables(
        guests,
        hosts,
        volumes,
        NAV_PAGES.map(({ text, to }) => ({ name: t(text), to })),
      ),
    [guests, hosts, volumes, t],
  )
  const found = useMemo(() => search(all, query), [all, query])
  const current = Math.min(at, found.length - 1)

  const open = (item: Found | undefined) => {
    if (!item) return
    onClose()
    if (item.kind === 'guest') void navigate({ to: '/guests/$guest', params: { guest: item.guest.name } })
    else if (item.kind === 'host') void navigate({ to: '/hosts/$host', params: { host: item.host.name } })
    else if (item.kind === 'volume') void navigate({ to: '/guests/$guest', params: { guest: item.volume.guest } })
    else void navigate({ to: item.to })
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown') setAt(Math.min(found.length - 1, current + 1))
    else if (event.key === 'ArrowUp') setAt(Math.max(0, current - 1))
    else if (event.key === 'Enter') open(found[current])
    else return
    event.preventDefault()
  }

  return (
    <Modal
      opened
      onClose={onClose}
      withCloseButton={false}
      padding={0}
      size="lg"
      yOffset="12vh"
      attributes={{ content: { 'aria-label': t('palette.title') } }}
      transitionProps={{ duration: 0 }}
    >
      <div className={classes.field}>
        <Icon name="search" />
        <input
          className={classes.input}
          role="combobox"
          aria-expanded="true"
          aria-controls={LIST_ID}
          aria-activedescendant={current < 0 ? undefined : `found-${current}`}
          aria-label={t('palette.title')}
          placeholder={t('palette.hint')}
          autoFocus
          data-autofocus
          value={query}
          onChange={(event) => {
            setQuery(event.currentTarget.value)
            setAt(0)
          }}
          onKeyDown={onKeyDown}
        />
      </div>
      <ul className={classes.list} role="listbox" id={LIST_ID} aria-label={t('palette.found')}>
        {found.map((item, index) => (
          <li
            key={item.id}
            id={`found-${index}`}
            role="option"
            aria-selected={index === current}
            className={classes.item}
            onMouseMove={() => setAt(index)}
            onClick={() => open(item)}
          >
            <Icon name={iconOf(item)} size={17} />
            <span className={classes.name}>{item.name}</span>
            <span className={classes.aside}>
              {item.kind === 'guest' ? (
                <>
                  {item.guest.tags.join(', ')} <StateDot tone={toneOf(item.guest.state)} />
                </>
              ) : (
                t(`kind.${item.kind}`)
              )}
            </span>
          </li>
        ))}
      </ul>
      {found.length === 0 ? <p className={classes.nothing}>{t('palette.nothing')}</p> : null}
    </Modal>
  )
}

function iconOf(item: Found): IconName {
  if (item.kind === 'guest') return item.guest.kind
  return item.kind === 'page' ? 'right' : item.kind
}
