/** A guest's consoles with all that goes with them: which one, how it stands, keys, pasting, full screen. */
import { ActionIcon, Button, Menu, SegmentedControl, Tooltip } from '@mantine/core'
import { lazy, Suspense, useRef, useState } from 'react'
import type { ConsoleKind } from '@stead/api/console-protocol.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useText } from '../i18n/texts.ts'
import { Icon, type IconName } from '../parts/icon.tsx'
import { Empty } from '../parts/page.tsx'
import { saveStream } from '../parts/save-file.ts'
import { showFailure } from '../parts/toasts.tsx'
import { useSession } from '../session/session-context.ts'
import { consolesOf, hasConsoleNow, type GuestOfConsole } from './console-kinds.ts'
import classes from './console-panel.module.css'
import type { ConsoleState } from './console-state.ts'
import { ConsoleStatus } from './console-status.tsx'
import { PasteDialog } from './paste-dialog.tsx'
import { SPECIAL_KEYS } from './special-keys.ts'
import type { ConsoleHandle } from './console-viewer.tsx'

const ConsoleViewer = lazy(async () => ({ default: (await import('./console-viewer.tsx')).ConsoleViewer }))

export interface ConsolePanelProps {
  readonly guest: GuestOfConsole
  readonly kind: ConsoleKind
  readonly onKind: (kind: ConsoleKind) => void
  /** It has a window of its own. */
  readonly isAlone?: boolean
}

export function ConsolePanel({ guest, kind, onKind, isAlone = false }: ConsolePanelProps) {
  const t = useText()
  const { client } = useSession()
  const panel = useRef<HTMLElement>(null)
  const handle = useRef<ConsoleHandle>(null)
  const [state, setState] = useState<ConsoleState>({ is: 'connecting' })
  const [attempt, setAttempt] = useState(0)
  const [isFitted, setFitted] = useState(true)
  const [isPasting, setPasting] = useState(false)
  // Once seen, it is waited for: it restarts, it moves, its host is being replaced.
  const [wasUp, setWasUp] = useState(() => hasConsoleNow(guest))
  const isUp = hasConsoleNow(guest)
  if (isUp && !wasUp) setWasUp(true)

  const again = () => {
    setState({ is: 'connecting' })
    setAttempt((before) => before + 1)
  }
  const choose = (next: ConsoleKind) => {
    setState({ is: 'connecting' })
    onKind(next)
  }
  const openWindow = () =>
    window.open(`/console/${guest.name}?kind=${kind}`, `console-${guest.id}-${kind}`, 'popup,width=1040,height=720')
  const takePicture = async () => {
    const taken = await client.stream(ENDPOINTS['console.screenshot'], { params: { guest: guest.name } })
    if (!taken.ok) return showFailure(taken.error)
    await saveStream(`${guest.name}.png`, taken.value.body, 'image/png')
  }
  const saveLog = async () => {
    const opened = await client.stream(ENDPOINTS['guest.log'], { params: { guest: guest.name }, query: {} })
    if (!opened.ok) return showFailure(opened.error)
    await saveStream(`${guest.name}.log`, opened.value.body, 'text/plain')
  }

  const isScreen = kind === 'vnc'
  const isLive = state.is === 'connected'
  return (
    <section
      ref={panel}
      className={classes.panel}
      data-alone={isAlone || undefined}
      aria-label={t('console.of', { name: guest.name })}
    >
      <div className={classes.bar}>
        {isAlone ? <h1 className={classes.name}>{guest.name}</h1> : null}
        {consolesOf(guest).length > 1 ? (
          <SegmentedControl
            size="xs"
            aria-label={t('console.which')}
            data={consolesOf(guest).map((value) => ({ value, label: t(`console.kind.${value}`) }))}
            value={kind}
            onChange={(value) => choose(value as ConsoleKind)}
          />
        ) : null}
        {wasUp ? <ConsoleStatus state={state} /> : null}
        <div className={classes.tools}>
          {isScreen ? (
            <Menu position="bottom-end">
              <Menu.Target>
                <Button size="xs" variant="default" disabled={!isLive}>
                  {t('console.keys')}
                </Button>
              </Menu.Target>
              <Menu.Dropdown>
                {SPECIAL_KEYS.map(([label, keys]) => (
                  <Menu.Item key={label} onClick={() => handle.current?.press(keys)}>
                    {label}
                  </Menu.Item>
                ))}
              </Menu.Dropdown>
            </Menu>
          ) : null}
          <Button size="xs" variant="default" disabled={!isLive} onClick={() => setPasting(true)}>
            {t('console.paste')}
          </Button>
          {isScreen ? (
            <>
              <Tool icon="camera" label={t('console.picture')} isOff={!isLive} onClick={() => void takePicture()} />
              <Tool
                icon={isFitted ? 'actualSize' : 'fit'}
                label={t(isFitted ? 'console.actualSize' : 'console.fit')}
                onClick={() => setFitted(!isFitted)}
              />
            </>
          ) : null}
          {kind === 'serial' ? (
            <Tool icon="save" label={t('console.saveLog')} isOff={!isUp} onClick={() => void saveLog()} />
          ) : null}
          <Tool
            icon="fullScreen"
            label={t('console.fullScreen')}
            onClick={() => void panel.current?.requestFullscreen()}
          />
          {isAlone ? null : <Tool icon="window" label={t('console.window')} onClick={openWindow} />}
        </div>
      </div>
      <div className={classes.stage}>
        {wasUp ? (
          <Suspense>
            <ConsoleViewer
              key={`${guest.id} ${kind} ${attempt}`}
              ref={handle}
              guest={guest.name}
              kind={kind}
              isFitted={isFitted}
              onState={setState}
            />
          </Suspense>
        ) : (
          <div className={classes.notRunning}>
            <Empty icon="terminal" title={t('console.notRunning')} text={t('console.notRunningText')} />
          </div>
        )}
        {state.is === 'failed' || state.is === 'exited' ? (
          <div className={classes.again}>
            <Button size="sm" onClick={again}>
              {t(kind === 'shell' ? 'console.anotherShell' : 'console.again')}
            </Button>
          </div>
        ) : null}
      </div>
      {isPasting ? (
        <PasteDialog
          guest={guest}
          isScreen={isScreen}
          onPaste={(text) => handle.current?.paste(text)}
          onClose={() => {
            setPasting(false)
            handle.current?.focus()
          }}
        />
      ) : null}
    </section>
  )
}

function Tool({ label, ...props }: { icon: IconName; label: string; isOff?: boolean; onClick: () => void }) {
  return (
    <Tooltip label={label}>
      <ActionIcon variant="default" size="md" aria-label={label} disabled={props.isOff} onClick={props.onClick}>
        <Icon name={props.icon} size={16} />
      </ActionIcon>
    </Tooltip>
  )
}
