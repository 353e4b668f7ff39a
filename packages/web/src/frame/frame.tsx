/** What stands around every page: header, navigation and tree, task log. */
import { ActionIcon, Button, Kbd, Menu, useComputedColorScheme, useMantineColorScheme } from '@mantine/core'
import { useHotkeys, useMediaQuery } from '@mantine/hooks'
import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router'
import { lazy, Suspense, useEffect, useState } from 'react'
import { LANGUAGES } from '../i18n/language.ts'
import { setLanguage, useLanguage, useText } from '../i18n/texts.ts'
import { useLive } from '../live/use-live.ts'
import { Icon } from '../parts/icon.tsx'
import { showFailure, Toasts } from '../parts/toasts.tsx'
import { useSession } from '../session/session-context.ts'
import { endSession } from '../session/session.ts'
import { ConnectionBanner } from './connection-banner.tsx'
import classes from './frame.module.css'
import { NAV_PAGES } from './nav-pages.ts'
import { ResourceTree } from './resource-tree.tsx'
import { TaskLog } from './task-log.tsx'

const CommandPalette = lazy(async () => ({ default: (await import('./command-palette.tsx')).CommandPalette }))
const SideDrawer = lazy(async () => ({ default: (await import('./side-drawer.tsx')).SideDrawer }))

const LANGUAGE_NAMES = { en: 'English', fr: 'Français', pl: 'Polski' } as const

export function Frame() {
  const t = useText()
  const navigate = useNavigate()
  const isNarrow = useMediaQuery('(max-width: 900px)', false)
  const [isPaletteOpen, setPaletteOpen] = useState(false)
  const [isMenuOpen, setMenuOpen] = useState(false)
  const path = useRouterState({ select: (state) => state.location.pathname })
  useEffect(() => setMenuOpen(false), [path])
  useHotkeys([
    ['mod+K', () => setPaletteOpen(true)],
    ['/', () => setPaletteOpen(true)],
    ['c', () => void navigate({ to: '/create/machine' })],
    ['g', () => void navigate({ to: '/guests' })],
    ['h', () => void navigate({ to: '/hosts' })],
    ['o', () => void navigate({ to: '/' })],
  ])

  const side = (
    <>
      <Navigation />
      <ResourceTree />
    </>
  )
  return (
    <div className={classes.frame}>
      <a className={classes.skip} href="#content">
        {t('frame.skip')}
      </a>
      <header className={classes.header}>
        {isNarrow ? (
          <ActionIcon
            variant="subtle"
            color="gray"
            size="lg"
            aria-label={t('frame.menu')}
            onClick={() => setMenuOpen(true)}
          >
            <Icon name="menu" />
          </ActionIcon>
        ) : null}
        <Brand />
        <button
          type="button"
          className={classes.search}

          onClick={() => setPaletteOpen(true)}
        >
          <Icon name="search" size={16} />
          <span className={classes.searchText}>{t('palette.hint')}</span>
          <Kbd size="xs" className={classes.searchKey}>
            Ctrl K
          </Kbd>
        </button>
        <CreateMenu />
        <UserMenu />
      </header>
      {isNarrow ? (
        <Suspense>
          <SideDrawer isOpen={isMenuOpen} onClose={() => setMenuOpen(false)} title={<Brand />}>
            {side}
          </SideDrawer>
        </Suspense>
      ) : (
        <aside className={classes.side}>{side}</aside>
      )}
      <main className={classes.main} id="content" tabIndex={-1}>
        <ConnectionBanner />
        <Outlet />
      </main>
      <TaskLog />
      <Toasts />
      {isPaletteOpen ? (
        <Suspense>
          <CommandPalette onClose={() => setPaletteOpen(false)} />
        </Suspense>
      ) : null}
    </div>
  )
}

function Brand() {
  const name = useLive((state) => state.cluster?.name)
  return (
    <Link to="/" className={classes.brand}>
      <img src="/stead.svg" alt="" width={26} height={26} />
      <span>Stead</span>
      {name === undefined ? null : <span className={classes.cluster}>{name}</span>}
    </Link>
  )
}

function Navigation() {
  const t = useText()
  return (
    <nav className={classes.nav} aria-label={t('frame.pages')}>
      {NAV_PAGES.map(({ to, text, icon }) => (
        <Link
          key={to}
          to={to}
          className={classes.navLink}
          activeOptions={{ exact: true, includeSearch: false }}
          activeProps={{ 'aria-current': 'page' }}
        >
          <Icon name={icon} size={17} />
          {t(text)}
        </Link>
      ))}
    </nav>
  )
}

function CreateMenu() {
  const t = useText()
  const navigate = useNavigate()
  return (
    <Menu position="bottom-end" shadow="md">
      <Menu.Target>
        <Button size="sm" leftSection={<Icon name="plus" size={16} />} className={classes.create}>
          {t('create.button')}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={<Icon name="vm" size={16} />} onClick={() => void navigate({ to: '/create/machine' })}>
          {t('create.machine')}
        </Menu.Item>
        <Menu.Item
          leftSection={<Icon name="ct" size={16} />}
          onClick={() => void navigate({ to: '/create/container' })}
        >
          {t('create.container')}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}

function UserMenu() {
  const t = useText()
  const navigate = useNavigate()
  const session = useSession()
  const { who } = session
  const language = useLanguage()
  const { setColorScheme } = useMantineColorScheme()
  const scheme = useComputedColorScheme('light')
  const signOut = async () => {
    const ended = await endSession(session)
    if (!ended.ok) showFailure(ended.error)
  }
  return (
    <Menu position="bottom-end" shadow="md" width={220}>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t('frame.user', { name: who.name })}>
          <Icon name="user" size={20} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{who.name}</Menu.Label>
        <Menu.Item
          leftSection={<Icon name={scheme === 'dark' ? 'sun' : 'moon'} size={16} />}
          onClick={() => setColorScheme(scheme === 'dark' ? 'light' : 'dark')}
        >
          {scheme === 'dark' ? t('frame.light') : t('frame.dark')}
        </Menu.Item>
        <Menu.Divider />
        {LANGUAGES.map((one) => (
          <Menu.Item
            key={one}
            lang={one}
            leftSection={one === language ? <Icon name="check" size={16} /> : <span className={classes.noMark} />}
            onClick={() => void setLanguage(one)}
          >
            {LANGUAGE_NAMES[one]}
          </Menu.Item>
        ))}
        <Menu.Divider />
        {who.kind === 'user' ? (
          <Menu.Item leftSection={<Icon name="key" size={16} />} onClick={() => void navigate({ to: '/account' })}>
            {t('account.title')}
          </Menu.Item>
        ) : null}
        <Menu.Item onClick={() => void signOut()}>{t('frame.signOut')}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}
