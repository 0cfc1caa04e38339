// Two panes of one slice, kept in step: cornerstone3D draws them on the CPU, the same on every machine.

import { cache, Enums, imageLoader, metaData, RenderingEngine, setUseCPURendering } from "@cornerstonejs/core";
import {
  addTool,
  Enums as ToolEnums,
  init as startTools,
  PanTool,
  ToolGroupManager,
  WindowLevelTool,
  ZoomTool,
} from "@cornerstonejs/tools";
import { sharpen } from "./sharp.js";

const { CAMERA_MODIFIED, VOI_MODIFIED } = Enums.Events;
const { MouseBindings, KeyboardBindings } = ToolEnums;
const TOOLS = [WindowLevelTool, PanTool, ZoomTool];
const GRAY = { lower: 0, upper: 255 }; // finished gray levels are shown as they are

export class Panes {
  #engine;
  #elements;
  #viewports;
  #group;
  #image = null;
  #count = 0;
  #following = false;
  #fit = 1;
  #hu = false;

  /**
   * @param {HTMLElement[]} elements of which each becomes a pane.
   * @param {() => void} changed called after window, zoom or place have changed.
   */
  constructor(elements, changed) {
    setUseCPURendering(true, false); // asks for no WebGL
    metaData.addProvider((kind) => (kind === "generalSeriesModule" ? { modality: "CT" } : undefined));
    startTools();
    this.#elements = elements;
    this.#engine = new RenderingEngine("panes");
    this.#engine.setViewports(
      elements.map((element) => ({ viewportId: element.id, element, type: Enums.ViewportType.STACK })),
    );
    this.#viewports = elements.map((element) => this.#engine.getViewport(element.id));
    for (const { canvas } of this.#viewports) sharpen(canvas);
    this.#group = ToolGroupManager.createToolGroup("panes");
    for (const tool of TOOLS) {
      addTool(tool);
      this.#group.addTool(tool.toolName);
    }
    elements.forEach((element, number) => {
      this.#group.addViewport(element.id, "panes");
      element.addEventListener(CAMERA_MODIFIED, () => this.#follow(number, changed));
      element.addEventListener(VOI_MODIFIED, () => this.#follow(number, changed));
    });
  }

  /** What drags do: the window is for HU only, finished gray levels are moved instead. */
  #bind(hu) {
    const [drag, shift] = [{ mouseButton: MouseBindings.Primary }, { modifierKey: KeyboardBindings.Shift }];
    const move = [{ mouseButton: MouseBindings.Auxiliary }, { ...drag, ...shift }];
    const zoom = [{ mouseButton: MouseBindings.Secondary }, { numTouchPoints: 2 }];
    for (const { toolName } of TOOLS) this.#group.setToolDisabled(toolName);
    if (hu) this.#group.setToolActive(WindowLevelTool.toolName, { bindings: [drag] });
    this.#group.setToolActive(PanTool.toolName, { bindings: hu ? move : [drag, ...move] });
    this.#group.setToolActive(ZoomTool.toolName, { bindings: zoom });
  }

  #follow(number, changed) {
    if (this.#following || !this.#image) return;
    this.#following = true;
    const leader = this.#viewports[number];
    const { focalPoint, parallelScale } = leader.getCamera();
    const { voiRange } = leader.getProperties();
    for (const other of this.#viewports) {
      if (other === leader) continue;
      other.setCamera({ focalPoint, parallelScale });
      other.setProperties({ voiRange });
      other.render();
    }
    this.#following = false;
    changed();
  }

  /**
   * Show another slice, in the place, size and window of the one before.
   * @param {Int16Array | Uint8Array} values HU, or gray levels, row by row.
   * @param {{rows: number, columns: number, anew: boolean}} shape anew: show the whole slice.
   */
  async show(values, { rows, columns, anew }) {
    const before = this.#image;
    const camera = before && !anew ? this.#viewports[0].getCamera() : null;
    const range = before ? this.#viewports[0].getProperties().voiRange : GRAY;
    this.#image = `plane:${++this.#count}`;
    const spacing = [1, 1, 1]; // others confuse the zoom of cornerstone's CPU rendering
    imageLoader.createAndCacheLocalImage(this.#image, { scalarData: values, dimensions: [columns, rows, 1], spacing });
    this.#hu = values instanceof Int16Array;
    this.#bind(this.#hu);
    const following = this.#following;
    this.#following = true;
    await Promise.all(this.#viewports.map((viewport) => viewport.setStack([this.#image])));
    this.#following = following;
    if (!before) this.#engine.resize(true, false);
    this.fit();
    if (camera) this.#lead((viewport) => viewport.setCamera(camera));
    this.window = this.#hu ? range : GRAY;
    if (before) cache.removeImageLoadObject(before);
  }

  #lead(change) {
    if (!this.#image) return;
    change(this.#viewports[0]);
    this.#viewports[0].render();
  }

  /** Fit the whole slice into the panes. */
  fit() {
    this.#lead((viewport) => viewport.resetCamera());
    this.#fit = this.#viewports[0].getZoom();
  }

  /** Follow the size of the page. */
  resize() {
    if (!this.#image) return;
    const zoom = this.zoom;
    this.#engine.resize(true, false);
    this.fit();
    this.#lead((viewport) => viewport.setZoom(this.#fit * zoom));
  }

  get hu() {
    return this.#hu;
  }

  /** Times the size at which the slice fits. */
  get zoom() {
    return this.#image ? this.#viewports[0].getZoom() / this.#fit : 1;
  }

  set zoom(zoom) {
    this.#lead((viewport) => viewport.setZoom(this.#fit * Math.min(Math.max(zoom, 0.5), 20)));
  }

  /** Move what is shown by pixels of the screen. */
  move(right, down) {
    this.#lead((viewport) => {
      const { clientWidth, clientHeight } = this.#elements[0];
      const focalPoint = viewport.canvasToWorld([clientWidth / 2 - right, clientHeight / 2 - down]);
      viewport.setCamera({ focalPoint });
    });
  }

  /** The HU, or gray levels, that are black and white: {lower, upper}. */
  get window() {
    return this.#viewports[0].getProperties().voiRange;
  }

  set window(voiRange) {
    this.#lead((viewport) => viewport.setProperties({ voiRange }));
  }

  /** Where a place of the slice, in pixels from its upper left corner, is on pane `number`. */
  locate(number, column, row) {
    return this.#viewports[number].worldToCanvas([column, row, 0]);
  }
}
